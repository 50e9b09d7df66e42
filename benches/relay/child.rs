//! Roles as processes: starting them, keeping them on their cpu, and seeing to it that none outlives the bench.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{env, process, thread};

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::procfs;

/// glibc hands memory back to the kernel, and faults it in again, more or less often by the luck of what lies at the
/// heap's end: none or two page faults for a request of 100 kB, which moves its CPU time by some percent. These limits
/// are as high as the ones that glibc raises by itself may get (mallopt(3)); other allocators ignore them.
const STEADY_MALLOC: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TRIM_THRESHOLD_", "67108864"),
];

/// Every role runs on one thread: a multi-threaded runtime spends CPU on waking, stealing and parking that depends on
/// how many cores happen to be idle, which would hide differences of a few percent between two proxies.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Serves in a child: prints the port on stdout, and ends when the parent does.
pub(crate) fn run(serve: impl AsyncFnOnce(TcpListener)) {
    // The parent holds the other end of stdin and never writes: it ends when the parent does, however that happens.
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("an address"));
        serve(listener).await;
    });
}

/// A running role.
#[derive(Debug)]
pub(crate) struct Role {
    process: Child,
    stdin: Option<ChildStdin>,
    /// Where it listens: host and port.
    pub(crate) address: String,
}

impl Role {
    /// Starts this program again in the role that `args` name, and waits until it listens.
    pub(crate) fn start(args: &[&str], cpus: Option<&str>) -> Self {
        let exe = env::current_exe().expect("the path of this program");
        let mut process = pinned(exe.as_os_str(), cpus)
            .envs(STEADY_MALLOC)
            .arg("--role")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the role starts");
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().expect("a piped stdout");
        let mut address = String::new();
        BufReader::new(stdout)
            .read_line(&mut address)
            .expect("the role's address");
        assert!(address.ends_with('\n'), "{args:?} ended before it listened");
        address.pop();
        Self {
            process,
            stdin,
            address,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// The command for `program`, to run on `cpus` alone.
pub(crate) fn pinned(program: &OsStr, cpus: Option<&str>) -> Command {
    let Some(cpus) = cpus else {
        return Command::new(program);
    };
    // taskset replaces itself by the program, so that the process id is the program's.
    let mut command = Command::new("taskset");
    command.args(["-c", cpus]).arg(program);
    command
}

impl Drop for Role {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

/// Which cpus run what, in `taskset -c` notation.
#[derive(Debug)]
pub(crate) struct Pins {
    pub(crate) proxy: String,
    pub(crate) rest: String,
}

/// Moves this process off the cpu that is kept for the proxies; `None` where that cannot be done.
pub(crate) fn pin_driver() -> Option<Pins> {
    let cpus = procfs::allowed_cpus();
    // The last one, because the first is where a system likes to do its chores.
    let (proxy, rest) = cpus.split_last().filter(|(_, rest)| !rest.is_empty())?;
    let rest: Vec<String> = rest.iter().map(u32::to_string).collect();
    let pins = Pins {
        proxy: proxy.to_string(),
        rest: rest.join(","),
    };
    let pid = process::id().to_string();
    let status = Command::new("taskset")
        .args(["-cp", &pins.rest, &pid])
        .stdout(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success()).then_some(pins)
}
