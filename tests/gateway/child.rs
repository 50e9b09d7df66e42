//! The program in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A gateway that serves. It ends with the test, however that ends.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: String,
    /// Kept open: it must be able to print.
    printed: BufReader<ChildStdout>,
}

impl Gateway {
    /// Begins with this configuration, and listens where there is room.
    pub(crate) fn start(config: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
            .args(["--config", config, "--listen", "127.0.0.1:0"])
            .env("DEMO_KEY", "demo-key")
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut gateway = Self {
            printed: BufReader::new(child.stdout.take().unwrap()),
            child,
            address: String::new(),
        };
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            let read = gateway.printed.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "it did not start");
        }
        let at = line.split("http://").nth(1).unwrap();
        at.split_whitespace()
            .next()
            .unwrap()
            .clone_into(&mut gateway.address);
        gateway
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Asks it to end, which it has to do well.
    pub(crate) fn end(mut self) {
        let asked = Command::new("kill").arg(self.id().to_string()).status();
        assert!(asked.unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
