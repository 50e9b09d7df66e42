//! A golden dataset: questions, and what their answers must have.

use std::{collections::HashSet, fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};
use tower_relay::model_select::Answer;

use crate::{AnyError, sides::Heard};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// The id of its request.
    pub(crate) id: String,
    /// The body of a chat request; its model is put in.
    pub(crate) request: Map<String, Value>,
    #[serde(default)]
    pub(crate) expect: Expect,
}

/// What an answer must have.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Expect {
    /// Texts that stand in it, in whatever case.
    contains: Vec<String>,
    /// Texts that do not.
    absent: Vec<String>,
    /// Whether it is JSON.
    json: bool,
    /// The tool that it calls.
    tool: Option<String>,
}

impl Expect {
    /// The share of all that which `heard` has, from 0 to 1; `None` where it must have nothing.
    pub(crate) fn score(&self, heard: &Heard) -> Option<f64> {
        let answer = heard.answer().unwrap_or_default();
        let text = answer.text.to_lowercase();
        let holds = |needle: &String| text.contains(&needle.to_lowercase());
        let mut met: Vec<bool> = self.contains.iter().map(holds).collect();
        met.extend(self.absent.iter().map(|needle| !holds(needle)));
        if self.json {
            met.push(serde_json::from_str::<Value>(&answer.text).is_ok());
        }
        if let Some(tool) = &self.tool {
            met.push(calls(&answer, heard, tool));
        }
        let (all, met) = (met.len(), met.into_iter().filter(|met| *met).count());
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        (all > 0).then(|| met as f64 / all as f64)
    }
}

fn calls(answer: &Answer, heard: &Heard, tool: &str) -> bool {
    answer.calls_tools && heard.text().contains(&format!("\"{tool}\""))
}

/// Reads a file of JSON lines; what is wrong is named by its line.
pub(crate) fn read_dataset(path: &Path) -> Result<Vec<Question>, AnyError> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let (mut dataset, mut ids) = (Vec::new(), HashSet::new());
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |reason: String| format!("{shown}, line {number}: {reason}");
        let question: Question =
            serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let is_id = (1..=128).contains(&question.id.len())
            && question.id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_id {
            return Err(wrong("id: must be 1 to 128 visible ASCII characters".to_owned()).into());
        }
        if !question.request.contains_key("messages") {
            return Err(wrong("request: has no messages".to_owned()).into());
        }
        if !ids.insert(question.id.clone()) {
            return Err(wrong(format!("id: {:?} is there twice", question.id)).into());
        }
        dataset.push(question);
    }
    if dataset.is_empty() {
        return Err(format!("{shown}: has no questions").into());
    }
    Ok(dataset)
}
