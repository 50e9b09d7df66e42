//! Proxies by others, as far as they are installed: nginx, LiteLLM and Portkey, each with as little to do as its configuration allows.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;
use std::{env, fs};

use http::{HeaderMap, HeaderName, HeaderValue};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::child::pinned;
use crate::load::Asks;
use crate::workload::{self, Workload};

/// As long as the slowest of them takes to listen: Python reads some thousand files before.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// Somebody else's proxy.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) name: &'static str,
    /// It gets one request for so many of ours, as it takes that much longer.
    pub(crate) divisor: u32,
    /// The program, by the name that its package gives it.
    program: &'static str,
    /// A part of the path of what that name stands for, where it is too common a name.
    package: &'static str,
    /// Whether it hands on all of the caller's headers, and every answer as it came.
    is_transparent: bool,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    headers: &'static [(&'static str, &'static str)],
    configuration: &'static str,
}

const ALL: [Other; 3] = [
    Other {
        name: "nginx",
        divisor: 1,
        program: "nginx",
        package: "nginx",
        is_transparent: true,
        arguments: &["-e", "stderr", "-p", "DIRECTORY", "-c", "CONFIGURATION"],
        environment: &[],
        headers: &[],
        configuration: "
            daemon off; master_process off; pid nginx.pid;
            events { worker_connections 4096; }
            http {
                access_log off;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                keepalive_requests 1000000000;
                upstream mock { server UPSTREAM; keepalive 1024; keepalive_requests 1000000000; }
                server {
                    listen 127.0.0.1:PORT;
                    location / {
                        client_max_body_size 16m; client_body_buffer_size 1m; proxy_buffering off;
                        proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://mock;
                    }
                }
            }",
    },
    Other {
        name: "portkey",
        divisor: 20,
        program: "gateway",
        package: "portkey",
        is_transparent: false,
        arguments: &["--headless", "--port=PORT"],
        environment: &[("NODE_ENV", "production")],
        headers: &[
            ("x-portkey-provider", "openai"),
            ("x-portkey-custom-host", "http://UPSTREAM/v1"),
        ],
        configuration: "",
    },
    Other {
        name: "litellm",
        divisor: 100,
        program: "litellm",
        package: "litellm",
        is_transparent: false,
        arguments: &[
            "--config", "CONFIGURATION", "--host", "127.0.0.1", "--port", "PORT", "--num_workers", "1",
        ],
        environment: &[
            // It does not start without one: the key of the callers.
            ("LITELLM_MASTER_KEY", workload::KEY),
            ("LITELLM_LOG", "ERROR"),
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            ("LITELLM_TELEMETRY", "False"),
        ],
        headers: &[],
        configuration: "{\"model_list\": [{\"model_name\": \"gpt-4o-mini\", \"litellm_params\":
            {\"model\": \"openai/gpt-4o-mini\", \"api_base\": \"http://UPSTREAM/v1\", \"api_key\": \"sk-bench\"}}]}",
    },
];

/// Those that are installed and take `workload`; says whom it leaves out.
pub(crate) fn taking(workload: &Workload) -> impl Iterator<Item = &'static Other> {
    let takes = |other: &Other| {
        let left_out = if other.path().is_none() {
            "it is not installed"
        } else if workload.needs_its_header() && !other.is_transparent {
            "it does not hand on the header that asks for the answer"
        } else {
            return true;
        };
        eprintln!(
            "relay: {} left out of {}: {left_out}",
            other.name, workload.name
        );
        false
    };
    ALL.iter().filter(move |other| takes(other))
}

impl Other {
    fn path(&self) -> Option<PathBuf> {
        let paths = env::var_os("PATH")?;
        let mut found = env::split_paths(&paths).map(|path| path.join(self.program));
        found.find(|path| {
            let stands_for = fs::canonicalize(path);
            stands_for.is_ok_and(|path| path.is_file() && path.to_string_lossy().contains(self.package))
                // A script in a folder of its language's, which its name alone tells.
                || path.is_file() && self.program == self.package
        })
    }

    /// Starts it in front of `upstream`, a host and port, and waits until it listens.
    pub(crate) async fn start(&self, upstream: &str, cpus: Option<&str>) -> (Running, Asks) {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().to_owned();
        let port = free_port().await;
        let configuration = path.join("configuration");
        let filled = |text: &str| {
            text.replace("UPSTREAM", upstream)
                .replace("PORT", &port.to_string())
                .replace("DIRECTORY", &text_of(&path))
                .replace("CONFIGURATION", &text_of(&configuration))
        };
        fs::write(&configuration, filled(self.configuration)).expect("a configuration");
        let program = self.path().expect("it is installed");
        let process = pinned(program.as_os_str(), cpus)
            .args(self.arguments.iter().map(|argument| filled(argument)))
            .envs(self.environment.iter().copied())
            .current_dir(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy starts");
        let running = Running {
            process,
            _directory: directory,
        };
        let address = format!("127.0.0.1:{port}");
        let listens = async {
            while TcpStream::connect(&address).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let started = timeout(STARTS_WITHIN, listens).await;
        assert!(started.is_ok(), "{} does not listen", self.name);
        let header = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::try_from(filled(value)).expect("a header value");
            (HeaderName::from_static(name), value)
        };
        let asks = Asks {
            headers: self.headers.iter().map(header).collect::<HeaderMap>(),
            is_exact: self.is_transparent,
            ..Asks::of(&address)
        };
        (running, asks)
    }
}

/// One that runs, with its files. Ends with it.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    _directory: TempDir,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address").port()
}
