//! A server of a test's own.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A Redis or Valkey server on a free port, with its files in a directory of its own. Both end with it.
pub(crate) struct Server {
    program: &'static str,
    port: u16,
    options: &'static [&'static str],
    directory: TempDir,
    running: Option<Child>,
}

impl Server {
    /// `None`, and a line that says so, where no server is installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(options: &'static [&'static str]) -> Option<Self> {
        let installed = |program: &&str| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let Some(program) = ["redis-server", "valkey-server"]
            .into_iter()
            .find(installed)
        else {
            println!("skipped: neither redis-server nor valkey-server is installed");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let mut server = Self {
            program,
            port: port.unwrap().port(),
            options,
            directory: TempDir::new().unwrap(),
            running: None,
        };
        server.restart();
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it, and begins anew: empty, and on the same port.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let mut child = Command::new(self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--logfile", ""])
            .args(self.options)
            .arg("--dir")
            .arg(self.directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = log.any(|line| line.unwrap().contains("eady to accept connections"));
        assert!(is_ready, "{} does not start", self.program);
        self.running = Some(child);
        // Read on, so that it never has to wait to log.
        std::thread::spawn(move || log.for_each(drop));
    }

    /// A connection beside those of the limiters.
    pub(crate) async fn connect(&self) -> ::redis::aio::MultiplexedConnection {
        let client = ::redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
