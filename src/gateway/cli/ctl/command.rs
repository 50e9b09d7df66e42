use std::{ffi::OsString, path::PathBuf};

use lexopt::{Arg, Error, Parser, ValueExt};
use serde_json::{Map, Value, json};

pub(super) const HELP: &str = "\
Shows and steers a running gateway by its admin API.

Usage: tower-relay ctl [OPTIONS] COMMAND

Commands:
  status [--json]                      How it stands
  show [KIND [NAME]]                   What can be steered, and how
  weight ROUTE WEIGHT...               Give the targets of a split these weights, unless a rollout sets them
  pause [ROUTE]                        Keep a rollout in its stage
  resume [ROUTE]                       Let it go on
  rollback [ROUTE] [--gradually]       Give the baseline all requests
  force-model [ROUTE] TARGET           Send all stateless requests of a split to one target
  force-model [ROUTE] --off            No longer
  do KIND NAME ACTION [FIELD=VALUE...] Anything else; a VALUE is JSON, or else text, as is a
                                       number where text is wanted

ROUTE may be left out where there is only one; with --all, pause, resume and rollback are done with every rollout.

Options:
      --admin URL        Where its admin API is [default: RELAY_ADMIN, or http://127.0.0.1:9090]
      --token-file FILE  What has the token, where RELAY_ADMIN_TOKEN has none
  -h, --help             Print this

Exit codes: 0 done, 1 the gateway would not, 2 wrong options or a gateway that cannot be reached.
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    Help,
    Command(Command, Options),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) admin: Option<String>,
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Status {
        json: bool,
    },
    Show {
        kind: Option<String>,
        name: Option<String>,
    },
    Weight {
        route: String,
        weights: Vec<u32>,
    },
    /// What is done with a rollout, or with all of them.
    Steer {
        route: Option<String>,
        all: bool,
        action: &'static str,
        with: Value,
    },
    Force {
        route: Option<String>,
        target: Option<String>,
    },
    Do {
        kind: String,
        name: String,
        action: String,
        with: Map<String, Value>,
        /// The same, as they were spelt.
        spelt: Vec<(String, String)>,
    },
}

pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, Error> {
    let mut parser = Parser::from_args(arguments);
    let (mut words, mut options, mut flags) = (Vec::new(), Options::default(), Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("admin") => options.admin = Some(parser.value()?.string()?),
            Arg::Long("token-file") => options.token_file = Some(parser.value()?.into()),
            Arg::Long("json") => flags.push("--json"),
            Arg::Long("gradually") => flags.push("--gradually"),
            Arg::Long("all") => flags.push("--all"),
            Arg::Long("off") => flags.push("--off"),
            Arg::Short('h') | Arg::Long("help") => return Ok(Parsed::Help),
            Arg::Value(word) => words.push(word.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    let mut words = words.into_iter();
    let name = words.next().ok_or("there is no command")?;
    let command = command(&name, words.collect(), &flags)?;
    let takes = |flag: &str| {
        let known = FLAGS.iter().find(|(known, _)| *known == flag);
        known.is_some_and(|(_, commands)| commands.contains(&name.as_str()))
    };
    match flags.into_iter().find(|flag| !takes(flag)) {
        Some(flag) => Err(Error::from(format!("{name} has no {flag}"))),
        None => Ok(Parsed::Command(command, options)),
    }
}

/// What may be said to which commands.
const FLAGS: [(&str, &[&str]); 4] = [
    ("--json", &["status"]),
    ("--gradually", &["rollback"]),
    ("--all", &["pause", "resume", "rollback"]),
    ("--off", &["force-model"]),
];

fn command(name: &str, words: Vec<String>, flags: &[&str]) -> Result<Command, Error> {
    let has = |flag| flags.contains(&flag);
    let mut words = words.into_iter();
    let missing = |what: &str| Error::from(format!("{name} needs {what}"));
    let steer = |action, with, route| Command::Steer {
        route,
        all: has("--all"),
        action,
        with,
    };
    let command = match name {
        "status" => Command::Status {
            json: has("--json"),
        },
        "show" => Command::Show {
            kind: words.next(),
            name: words.next(),
        },
        "weight" => {
            let route = words.next().ok_or_else(|| missing("a route"))?;
            let weights = words.by_ref().map(|word| {
                let weight = word.parse::<u32>();
                weight.map_err(|_| Error::from(format!("{word:?} is no weight")))
            });
            let weights = weights.collect::<Result<Vec<_>, _>>()?;
            if weights.is_empty() {
                return Err(missing("a weight for each target"));
            }
            Command::Weight { route, weights }
        }
        "pause" => steer("pause", json!({}), words.next()),
        "resume" => steer("resume", json!({}), words.next()),
        "rollback" => steer(
            "rollback",
            json!({"gradually": has("--gradually")}),
            words.next(),
        ),
        "force-model" => match (words.next(), words.next(), has("--off")) {
            (route, None, true) => Command::Force {
                route,
                target: None,
            },
            (Some(target), None, false) => Command::Force {
                route: None,
                target: Some(target),
            },
            (route, Some(target), false) => Command::Force {
                route,
                target: Some(target),
            },
            _ => return Err(missing("a target, or --off")),
        },
        "do" => {
            let mut next = |what| words.next().ok_or_else(|| missing(what));
            let (kind, name, action) = (next("a kind")?, next("a name")?, next("an action")?);
            let spelt = words
                .by_ref()
                .map(|word| field(&word))
                .collect::<Result<Vec<_>, _>>()?;
            let with = spelt.iter().map(|(name, text)| {
                let json = serde_json::from_str(text);
                (name.clone(), json.unwrap_or_else(|_| text.as_str().into()))
            });
            let with = with.collect();
            Command::Do {
                kind,
                name,
                action,
                with,
                spelt,
            }
        }
        _ => return Err(Error::from(format!("there is no command {name:?}"))),
    };
    match words.next() {
        Some(word) => Err(Error::from(format!("{word:?} is one word too many"))),
        None => Ok(command),
    }
}

fn field(word: &str) -> Result<(String, String), Error> {
    let (name, value) = word
        .split_once('=')
        .ok_or_else(|| Error::from(format!("{word:?} is not FIELD=VALUE")))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        match parse(line.split(' ').map(Into::into)) {
            Ok(Parsed::Command(command, _)) => Ok(command),
            Ok(Parsed::Help) => Err("help".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn commands_are_read_with_what_they_need() {
        let steer = |route: Option<&str>, all, action, with| Command::Steer {
            route: route.map(ToOwned::to_owned),
            all,
            action,
            with,
        };
        let force = |route: Option<&str>, target: Option<&str>| Command::Force {
            route: route.map(ToOwned::to_owned),
            target: target.map(ToOwned::to_owned),
        };
        for (line, command) in [
            ("status --json", Command::Status { json: true }),
            ("pause", steer(None, false, "pause", json!({}))),
            (
                "rollback --all",
                steer(None, true, "rollback", json!({"gradually": false})),
            ),
            (
                "rollback m --gradually",
                steer(Some("m"), false, "rollback", json!({"gradually": true})),
            ),
            ("force-model new", force(None, Some("new"))),
            ("force-model m new", force(Some("m"), Some("new"))),
            ("force-model --off", force(None, None)),
            ("force-model m --off", force(Some("m"), None)),
            (
                "weight m 90 10",
                Command::Weight {
                    route: "m".to_owned(),
                    weights: vec![90, 10],
                },
            ),
        ] {
            assert_eq!(parsed(line), Ok(command), "{line}");
        }
        let Ok(Command::Do { with, .. }) =
            parsed("do budgets team reset key=tenant:acme hard=\"5\" n=5")
        else {
            panic!("it is one");
        };
        assert_eq!(
            Value::Object(with),
            json!({"key": "tenant:acme", "hard": "5", "n": 5})
        );
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for (line, reason) in [
            ("--admin", "missing argument"),
            ("fly", "there is no command \"fly\""),
            ("weight", "needs a route"),
            ("weight m", "needs a weight"),
            ("weight m ten", "\"ten\" is no weight"),
            ("force-model", "needs a target, or --off"),
            ("pause a b", "\"b\" is one word too many"),
            ("pause --gradually", "pause has no --gradually"),
            ("status --all", "status has no --all"),
            ("do breakers openai", "needs an action"),
            ("do breakers openai open now", "is not FIELD=VALUE"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
