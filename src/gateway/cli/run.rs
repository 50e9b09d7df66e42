use std::{
    convert::Infallible,
    env,
    ffi::OsString,
    fmt::Display,
    future,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use tokio::{net::TcpListener, runtime, sync::oneshot};

use super::{
    ctl,
    demo::{self, Demos},
    live, log,
    options::{Action, HELP, Options},
    signals::{Hangups, Signals},
    tree::Tree,
};
use crate::{gateway::Config, server::tenants::KeyHash};

/// Where a configuration finds what it names.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// An upstream does not do what the configuration says.
const FOUND_WRONG: u8 = 1;

/// Wrong options, a wrong configuration, an address in use.
const UNUSABLE: u8 = 2;

/// The gateway as a program: reads the command line, serves until SIGINT or SIGTERM, and says with what to exit.
///
/// `--help` prints its options.
pub fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "ctl") {
        return ctl::main(arguments.skip(1));
    }
    match run(arguments) {
        Ok(code) => code,
        Err(problem) => {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "tower-relay: {problem}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode, String> {
    let options =
        Options::parse(arguments).map_err(|error| format!("{error}; --help lists the options"))?;
    let done = match options.action {
        Action::Check if options.live => return check_live(&options),
        Action::Schema => serde_json::to_string_pretty(&Config::schema())
            .map_err(text)
            .and_then(|schema| print(format_args!("{schema}\n"))),
        Action::Help => print(HELP),
        Action::Version => print(concat!("tower-relay ", env!("CARGO_PKG_VERSION"), "\n")),
        Action::HashKey => hash_key(io::stdin().lock()).and_then(print),
        Action::Check => check(&options).and_then(print),
        Action::Serve => {
            let runtime = runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
            let _entered = runtime.enter();
            let logging = log::init()?;
            let ended = runtime.block_on(start(&options));
            logging.end();
            ended
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The hash of the key that stands in `input`, without the line's end after it.
fn hash_key(input: impl Read) -> Result<String, String> {
    const MAX: u64 = 4096;
    let mut key = String::new();
    let read = input.take(MAX + 1).read_to_string(&mut key);
    read.map_err(|error| format!("cannot read the key: {error}"))?;
    let key = key.trim();
    if key.is_empty() || key.len() as u64 >= MAX || key.contains(char::is_whitespace) {
        return Err("there must be one key on standard input, without spaces".to_owned());
    }
    Ok(format!("{}\n", KeyHash::of(key)))
}

/// As [`check`], and asks the upstreams besides.
fn check_live(options: &Options) -> Result<ExitCode, String> {
    let Some(file) = &options.config else {
        return Err("--live looks at the upstreams of a configuration: --config FILE".to_owned());
    };
    print(check(options)?)?;
    let mut config = Config::from_file(file).map_err(text)?;
    options.apply(&mut config);
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let report = runtime.block_on(async {
        let (targets, _) = config.build_upstreams(&environment).map_err(text)?;
        let report = live::look(&config, &targets, &environment).await;
        report.map_err(|error| config.locate(&error).to_string())
    })?;
    print(&report)?;
    Ok(if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND_WRONG)
    })
}

fn check(options: &Options) -> Result<String, String> {
    let Some(file) = &options.config else {
        // The ports are chosen when the demo upstreams start.
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = demo::config(unknown, unknown).map_err(text)?;
        return describe(config, options, &demo::env);
    };
    describe(
        Config::from_file(file).map_err(text)?,
        options,
        &environment,
    )
}

fn describe(mut config: Config, options: &Options, env: Env<'_>) -> Result<String, String> {
    options.apply(&mut config);
    let dry = config.clone().without_files();
    let dry = dry.map_err(|error| config.locate(&error).to_string())?;
    let gateway = dry.build_with_env(env).map_err(text)?;
    let tree = Tree {
        config: &config,
        lists_models: gateway.lists_models(),
    };
    Ok(tree.to_string())
}

async fn start(options: &Options) -> Result<(), String> {
    let Some(file) = &options.config else {
        let demos = Demos::bind().await;
        let demos = demos.map_err(|error| format!("cannot start the demo upstreams: {error}"))?;
        let config = demos.config().map_err(text)?;
        let serving = async {
            demos.serve().await;
            future::pending().await
        };
        return serve(config, options, &demo::env, serving, TRY_IT).await;
    };
    let config = Config::from_file(file).map_err(text)?;
    serve(config, options, &environment, future::pending(), "").await
}

const TRY_IT: &str = r#"
No configuration, so these upstreams are demos: no key, no network. Try it:

  curl -sN http://{listen}/v1/chat/completions \
    -H 'content-type: application/json' \
    -d '{"model": "gpt-4.1-mini", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'

and look at http://{admin}/dashboard, whose token is {token}

"#;

/// Serves what `config` says, beside `upstreams`, until a signal comes.
async fn serve(
    mut config: Config,
    options: &Options,
    env: Env<'_>,
    upstreams: impl Future<Output = Infallible>,
    hint: &str,
) -> Result<(), String> {
    options.apply(&mut config);
    let mut gateway = config.build_with_env(env).map_err(text)?;
    #[cfg(feature = "otlp")]
    if let Some(worker) = super::otlp::metrics(gateway.handles().prometheus())? {
        gateway = gateway.with_worker(worker);
    }
    let listener = bind(config.listen, "choose an address with --listen ADDR").await?;
    config.listen = listener.local_addr().map_err(text)?;
    if let Some(admin) = &mut config.admin {
        let listener = bind(admin.listen, "choose another in [admin]").await?;
        admin.listen = listener.local_addr().map_err(text)?;
        gateway = gateway.with_admin_listener(listener);
    }

    let signal = options.config.as_ref().map(|file| {
        let options = options.clone();
        gateway.watch(file, move |config| options.apply(config))
    });
    let unheard = |error: io::Error| format!("cannot listen for signals: {error}");
    let mut hangups = Hangups::new().map_err(unheard)?;
    let mut signals = Signals::new().map_err(unheard)?;
    let listen = config.listen.to_string();
    print(format!(
        "tower-relay {} is listening on http://{listen}\n\n{}",
        env!("CARGO_PKG_VERSION"),
        Tree {
            config: &config,
            lists_models: gateway.lists_models()
        }
    ))?;
    let admin = config.admin.as_ref().map(|admin| admin.listen.to_string());
    let hint = hint.replace("{listen}", &listen);
    let hint = hint.replace("{admin}", &admin.unwrap_or_default());
    print(hint.replace("{token}", demo::ADMIN_TOKEN))?;

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = gateway.serve(listener, async { drop(stopped.await) });
    let signalled = async {
        signals.next().await;
        tracing::info!("answers may end, then this does; a second signal ends both at once");
        drop(stop);
        signals.next().await;
    };
    let reloading = async {
        loop {
            hangups.next().await;
            // Without a file there is nothing that could have changed; the signal ends nothing all the same.
            if let Some(signal) = &signal {
                signal.reload();
            }
        }
    };
    tokio::select! {
        () = serving => Ok(()),
        never = reloading => never,
        () = signalled => Err("ended before all answers did, as a second signal asked".to_owned()),
        never = upstreams => match never {},
    }
}

async fn bind(address: SocketAddr, hint: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{address} is in use by another program: {hint}"),
        _ => format!("cannot listen on {address}: {error}"),
    })
}

fn print(text: impl Display) -> Result<(), String> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write to standard output: {error}"))
}

fn environment(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn text(error: impl Display) -> String {
    error.to_string()
}
