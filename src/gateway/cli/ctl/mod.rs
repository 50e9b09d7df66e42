//! Steering a running gateway from a shell.

mod command;
mod connection;
mod summary;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Map, Value, json};
use tokio::runtime;

use self::{
    command::{Command, HELP, Parsed},
    connection::Connection,
};

/// The gateway would not.
const REFUSED: u8 = 1;
/// Wrong options, or a gateway that cannot be reached.
const UNUSABLE: u8 = 2;

/// Why it was not done.
#[derive(Debug)]
enum Problem {
    Refused(String),
    Unusable(String),
}

/// Does what the command line after `ctl` says.
pub(super) fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (code, problem) = match run(arguments) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Problem::Refused(problem)) => (REFUSED, problem),
        Err(Problem::Unusable(problem)) => (UNUSABLE, problem),
    };
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "tower-relay ctl: {problem}");
    ExitCode::from(code)
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Problem> {
    let parsed = command::parse(arguments)
        .map_err(|error| Problem::Unusable(format!("{error}; --help lists the commands")))?;
    let (command, options) = match parsed {
        Parsed::Help => return print(HELP),
        Parsed::Command(command, options) => (command, options),
    };
    let connection = Connection::new(options)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Problem::Unusable(format!("cannot start: {error}")))?;
    let said = runtime.block_on(perform(&connection, command))?;
    print(&said)
}

async fn perform(connection: &Connection, command: Command) -> Result<String, Problem> {
    match command {
        Command::Status { json } => {
            let status = connection.get("/status").await?;
            Ok(if json {
                pretty(&status)
            } else {
                summary::text(&status)
            })
        }
        Command::Show { kind, name } => {
            let path = [kind, name]
                .into_iter()
                .flatten()
                .fold("/admin".to_owned(), |path, part| {
                    path + "/" + &escaped(&part)
                });
            Ok(pretty(&connection.get(&path).await?))
        }
        Command::Weight { route, weights } => {
            act(
                connection,
                ("splits", &route, "weights"),
                json!({"weights": weights}),
            )
            .await
        }
        Command::Steer {
            route,
            all,
            action,
            with,
        } => {
            let names = names(connection, "rollouts").await?;
            let chosen = match route {
                Some(route) => vec![route],
                None if all || names.len() == 1 => names,
                None => return Err(which("rollouts", &names)),
            };
            let mut said = String::new();
            for route in chosen {
                said += &act(connection, ("rollouts", &route, action), with.clone()).await?;
            }
            Ok(said)
        }
        Command::Force { route, target } => {
            let (kind, route) = forceable(connection, route).await?;
            act(
                connection,
                (kind, &route, "force"),
                json!({"target": target}),
            )
            .await
        }
        Command::Do {
            kind,
            name,
            action,
            with,
            spelt,
        } => do_as_spelt(connection, (&kind, &name, &action), with, spelt).await,
    }
}

/// Does it, and says as text what looked like a number where the gateway wants text: which it wants it alone knows. What it refuses
/// changes nothing, so that it may be asked again.
async fn do_as_spelt(
    connection: &Connection,
    what: (&str, &str, &str),
    mut with: Map<String, Value>,
    spelt: Vec<(String, String)>,
) -> Result<String, Problem> {
    let mut done = act(connection, what, Value::Object(with.clone())).await;
    for _ in 0..spelt.len() {
        let Err(Problem::Refused(reason)) = &done else {
            break;
        };
        let is_wanted = |(name, _): &&(String, String)| {
            let is_number = with.get(name).is_some_and(Value::is_number);
            is_number
                && reason.starts_with(&format!("`{name}`: invalid type: "))
                && reason.contains(", expected a string")
        };
        let Some((name, text)) = spelt.iter().find(is_wanted) else {
            break;
        };
        with.insert(name.clone(), text.as_str().into());
        done = act(connection, what, Value::Object(with.clone())).await;
    }
    done
}

/// What forces `route`: its rollout, where it has one, which would otherwise take the weights back.
async fn forceable(
    connection: &Connection,
    route: Option<String>,
) -> Result<(&'static str, String), Problem> {
    let rollouts = names(connection, "rollouts").await?;
    let splits = names(connection, "splits").await?;
    let route = match route {
        Some(route) => route,
        None => match splits.as_slice() {
            [only] => only.clone(),
            _ => return Err(which("splits", &splits)),
        },
    };
    let kind = if rollouts.contains(&route) {
        "rollouts"
    } else {
        "splits"
    };
    Ok((kind, route))
}

fn which(kind: &str, names: &[String]) -> Problem {
    Problem::Unusable(if names.is_empty() {
        format!("the gateway has no {kind}")
    } else {
        format!("which of the {kind}: {}?", names.join(", "))
    })
}

async fn names(connection: &Connection, kind: &str) -> Result<Vec<String>, Problem> {
    let all = connection.get("/admin").await?;
    let of_kind = all.pointer(&format!("/controls/{kind}"));
    let names = of_kind.and_then(Value::as_object).map(Map::keys);
    Ok(names.into_iter().flatten().cloned().collect())
}

async fn act(
    connection: &Connection,
    (kind, name, action): (&str, &str, &str),
    with: Value,
) -> Result<String, Problem> {
    let path = format!(
        "/admin/{}/{}/{}",
        escaped(kind),
        escaped(name),
        escaped(action)
    );
    let change = connection.post(&path, &with).await?;
    let shown = |member: &str| change.get(member).unwrap_or(&Value::Null).to_string();
    Ok(format!(
        "{kind} {name}: {action}\n  old  {}\n  new  {}\n",
        shown("old"),
        shown("new")
    ))
}

/// As a segment of a path.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(escape).collect()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn print(text: &str) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Problem::Unusable(format!("cannot write to standard output: {error}")))
}
