mod editing;
mod parsing;
mod properties;
mod reading;

use std::collections::BTreeMap;

use super::{Edit, Index, JsonError, Kind};

fn parse(text: impl AsRef<[u8]>) -> Result<Index, JsonError> {
    Index::parse(text.as_ref())
}

fn error(text: impl AsRef<[u8]>) -> String {
    parse(text).unwrap_err().to_string()
}

/// The raw bytes of a member's value.
fn raw(text: &str, name: &str) -> Option<String> {
    let index = parse(text).unwrap();
    index
        .members(text.as_bytes())
        .get(name)
        .map(|value| String::from_utf8(value.raw().to_vec()).unwrap())
}

fn edited(text: &str, change: impl FnOnce(&mut Edit<'_>)) -> String {
    let index = parse(text).unwrap();
    let mut edit = index.members(text.as_bytes()).edit();
    change(&mut edit);
    let (bytes, reindex) = edit.write();
    assert_eq!(bytes.capacity(), bytes.len());
    assert_eq!(reindex.of(&index), parse(&bytes).unwrap());
    String::from_utf8(bytes).unwrap()
}

#[test]
fn recorded_requests_are_indexed_as_serde_json_reads_them() {
    let folder = std::env::var("RELAY_CORPUS").unwrap_or_else(|_| "../shared/corpus".into());
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("no corpus at {folder}: skipped");
        return;
    };
    for path in files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
    {
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            assert_members_agree(line.as_bytes());
            let index = parse(line).unwrap();
            let request = index.members(line.as_bytes()).get("request").unwrap();
            let index = parse(request.raw()).unwrap();
            let body = index.members(request.raw()).get("body");
            if let Some(body) = body.filter(|body| body.kind() == Kind::Object) {
                assert_members_agree(body.raw());
            }
        }
    }
}

fn assert_members_agree(text: &[u8]) {
    let index = Index::parse(text).unwrap();
    let ours: BTreeMap<String, serde_json::Value> = index
        .members(text)
        .iter()
        .map(|(name, value)| (name.into_owned(), value.deserialize().unwrap()))
        .collect();
    assert_eq!(
        ours,
        serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(text).unwrap()
    );
}
