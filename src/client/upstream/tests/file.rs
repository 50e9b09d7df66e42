use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tokio::time::sleep;

use super::*;
use crate::client::CredentialFile;

/// A file of this test's own, removed at its end.
struct File(PathBuf);

impl File {
    fn holding(text: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "tower-relay-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, SeqCst)
        );
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

async fn key(layer: &UpstreamLayer) -> String {
    sent(layer, chat()).await.headers["authorization"]
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_key_in_a_file_is_read_again_when_it_changes() {
    let file = File::holding("sk-1\n");
    let (credential, worker) = CredentialFile::new(&file.0)
        .required_prefix("sk-")
        .build()
        .unwrap();
    let shutdown = worker.shutdown_handle();
    let worker = tokio::spawn(worker);
    let layer = upstream(credential).build().unwrap();
    assert_eq!(key(&layer).await, "Bearer sk-1");

    file.write(" sk-2 ");
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(key(&layer).await, "Bearer sk-2");

    // What is no key leaves the last one in force.
    for wrong in ["", "other-3", "sk-\u{e9}"] {
        file.write(wrong);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(key(&layer).await, "Bearer sk-2", "{wrong:?}");
    }
    fs::remove_file(&file.0).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(key(&layer).await, "Bearer sk-2");

    file.write("sk-4");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(key(&layer).await, "Bearer sk-4");

    shutdown.shutdown();
    worker.await.unwrap();
    file.write("sk-5");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(key(&layer).await, "Bearer sk-4");
}

#[test]
fn a_file_without_a_key_is_refused_and_not_shown() {
    let missing = CredentialFile::new("/nowhere/at/all").build().unwrap_err();
    assert_eq!(missing.field(), "credential");
    let file = File::holding("hush");
    let wrong = CredentialFile::new(&file.0)
        .required_prefix("sk-")
        .build()
        .unwrap_err();
    assert!(!wrong.to_string().contains("hush"));
    let often = CredentialFile::new(&file.0)
        .check_every(Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(often.field(), "check_every");
}

#[test]
fn a_file_too_long_for_a_key_is_not_read() {
    let file = File::holding(&"k".repeat(70_000));
    assert!(
        CredentialFile::new(&file.0)
            .build()
            .unwrap_err()
            .reason()
            .contains("too long")
    );
    #[cfg(unix)]
    // Says that it is empty, and never ends.
    assert!(
        CredentialFile::new("/dev/zero")
            .build()
            .unwrap_err()
            .reason()
            .contains("too long")
    );
}
