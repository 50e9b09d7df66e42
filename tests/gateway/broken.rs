//! Configurations that cannot work, and what is said of each: `broken/NAME.toml` and, beside it, `broken/NAME.txt`.
//!
//! With `UPDATE_EXPECTED` in the environment what is said is written down instead of compared.

use std::{env, fs, path::Path};

use tower_relay::gateway::Config;

/// What is said of the file, under its own name; a variable is set that no provider's key is in.
fn said(path: &Path) -> String {
    let env = |name: &str| (name == "SET").then(|| "wrong-key".to_owned());
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let config = Config::from_toml(&text, &name);
    match config.and_then(|config| config.build_with_env(&env).map(drop)) {
        Ok(()) => "nothing is wrong with it".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_broken_configuration_says_where_and_how_it_is_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/broken");
    let mut count = 0;
    let mut differ = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        count += 1;
        let said = said(&path);
        assert!(
            !said.contains("0123456789") && !said.contains("wrong-key"),
            "{said}"
        );
        let expected = path.with_extension("txt");
        if env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(expected, format!("{said}\n")).unwrap();
        } else {
            let expected = fs::read_to_string(&expected).unwrap_or_default();
            if expected.trim_end() != said {
                differ.push(format!(
                    "{}\n  expected: {expected}  said:     {said}",
                    path.display()
                ));
            }
        }
    }
    assert!(count >= 40, "{count}");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn an_unknown_field_is_none_for_editors_either() {
    let schema = jsonschema::validator_for(&Config::schema()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/broken");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if name.ends_with(".toml") && (name.starts_with("field-") || name.starts_with("table-")) {
            let text = fs::read_to_string(&path).unwrap();
            let value: toml::Value = toml::from_str(&text).unwrap();
            assert!(
                !schema.is_valid(&serde_json::to_value(value).unwrap()),
                "{name}"
            );
            count += 1;
        }
    }
    assert!(count >= 6, "{count}");
}
