use super::*;

mod example;
mod mistakes;
mod secrets;

pub(in crate::gateway) use self::example::all_options;

/// What is wrong with `text`, as an operator sees it.
fn error(text: &str) -> String {
    let set = |name: &str| (name == "SET").then(|| "wrong-key".to_owned());
    let config = Config::from_toml(text, "relay.toml");
    match config.and_then(|config| config.build_with_env(&set).map(drop)) {
        Ok(()) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}
