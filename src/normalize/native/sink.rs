//! What an answer says, whoever says it.

use crate::{message::ApiError, normalize::errors};

/// Takes what an answer says, in the order in which it says it.
pub(in crate::normalize) trait Sink {
    /// The answer's own id and model, where it has them. The first that are said count.
    fn names(&mut self, id: Option<&str>, model: Option<&str>);

    /// A choice begins. What is said of a choice begins it too.
    fn begin(&mut self, choice: u64);

    fn text(&mut self, choice: u64, text: &str);

    /// What the model thinks before it speaks.
    fn reasoning(&mut self, choice: u64, text: &str);

    fn call(&mut self, call: Call<'_>);

    /// A fragment of a call's arguments. Of a call that never began it is nothing: tools that the provider runs are not the
    /// caller's.
    fn arguments(&mut self, choice: u64, key: u64, json: &str);

    fn call_end(&mut self, choice: u64, key: u64);

    fn stop(&mut self, choice: u64, stop: Stop<'_>);

    /// The answer has ended by its own word: nothing follows.
    fn done(&mut self);

    /// The answer turns out to be an error: nothing follows.
    fn fail(&mut self, error: &ApiError);
}

/// A tool call as it begins.
#[derive(Debug, Clone, Copy)]
pub(in crate::normalize) struct Call<'a> {
    pub(in crate::normalize) choice: u64,
    /// Tells it from the choice's other calls that are open.
    pub(in crate::normalize) key: u64,
    /// One is made where there is none.
    pub(in crate::normalize) id: Option<&'a str>,
    pub(in crate::normalize) name: &'a str,
    /// The arguments, for a call that no fragments follow.
    pub(in crate::normalize) input: Option<&'a str>,
}

/// Why a choice has ended.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::normalize) struct Stop<'a> {
    /// The provider's word.
    pub(in crate::normalize) word: Option<&'a str>,
    /// What it adds for people.
    pub(in crate::normalize) message: Option<&'a str>,
}

impl Stop<'_> {
    /// The error that a stop is which none of OpenAI's words describes: the model did not stop but failed.
    pub(in crate::normalize) fn error(&self) -> ApiError {
        let word = self.word.unwrap_or_default();
        let message = match self.message {
            Some(message) => format!("the model failed: {message} ({word})"),
            None => format!("the model failed: {word}"),
        };
        errors::failed(word, message).with_code("model_failed")
    }
}

/// The id of a call that has none.
pub(in crate::normalize) fn call_id(answer: &str, choice: u64, at: u64) -> String {
    if choice == 0 {
        format!("call_{answer}_{at}")
    } else {
        format!("call_{answer}_{choice}_{at}")
    }
}
