//! What was changed at run time.

use super::*;

#[test]
fn what_was_changed_outlives_a_restart_and_the_configuration_yields_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tenants.json");
    let start = || {
        let tenants = [
            Tenant::new("acme").key(key("old")),
            Tenant::new("b").key(key("b")),
        ];
        Tenants::with_state_file(tenants, &file).unwrap()
    };
    let opens =
        |tenants: &Tenants, name: &str| tenants.authenticate(chat(name, "m").headers()).is_ok();
    let first = start();
    assert!(!file.exists(), "nothing was changed yet");
    first.set_key("acme", key("new")).unwrap();
    // While one replaces the other both are taken.
    assert!(opens(&first, "sk-old") && opens(&first, "sk-new"));
    first.revoke("acme", "old").unwrap();
    let later = start();
    for tenants in [&first, &later] {
        assert!(!opens(tenants, "sk-old") && opens(tenants, "sk-new") && opens(tenants, "sk-b"));
    }
    assert_eq!(first.keys("acme"), later.keys("acme"));
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("sk-"), "{text}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_broken_state_file_is_an_error_and_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tenants.json");
    let twice = serde_json::to_string(&key("b"))
        .unwrap()
        .replace("\"b\"", "\"x\"");
    for (text, reason) in [
        ("", "is broken: EOF"),
        ("{\"version\":1,\"tenants\":{\"acme\":[", "is broken: EOF"),
        (
            "{\"version\":2,\"tenants\":{}}",
            "a newer program has written it",
        ),
        (
            &format!("{{\"version\":1,\"tenants\":{{\"acme\":[{twice}]}}}}"),
            "keys are for one alone",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let tenants = [
            Tenant::new("acme").key(key("a")),
            Tenant::new("b").key(key("b")),
        ];
        let error = Tenants::with_state_file(tenants, &file).unwrap_err();
        assert_eq!(error.field(), "state_file");
        assert!(error.reason().contains(reason), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn a_change_that_cannot_be_kept_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gone").join("tenants.json");
    let tenants = Tenants::with_state_file([Tenant::new("acme").key(key("a"))], file).unwrap();
    assert!(matches!(
        tenants.revoke("acme", "a"),
        Err(ChangeError::NotKept(_))
    ));
    assert!(tenants.authenticate(chat("sk-a", "m").headers()).is_ok());
    assert!(matches!(
        tenants.revoke("acme", "b"),
        Err(ChangeError::Unknown(_))
    ));
    assert!(matches!(
        tenants.set_key("b", key("b")),
        Err(ChangeError::Unknown(_))
    ));
    let taken = TenantKey::new("b", KeyHash::of("sk-a"));
    assert!(matches!(
        tenants.set_key("acme", taken),
        Err(ChangeError::Invalid(_))
    ));
}
