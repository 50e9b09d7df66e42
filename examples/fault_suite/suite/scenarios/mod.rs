//! What can go wrong, and what a caller may see of it.

mod connections;
mod errors;
mod parts;
mod plan;
mod shapes;
mod streams;

use super::{
    answer,
    check::Content,
    script::{Call, Script, ScriptFile, Then},
};

pub(crate) use self::plan::{Expected, Plan};

/// One way in which an upstream fails.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) plain: Case,
    pub(crate) streamed: Case,
    /// Played on real connections too.
    pub(crate) on_sockets: bool,
}

/// The same where a stream is asked for, or not.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) script: Script,
    pub(crate) content: Content,
    /// What is expected; anything that a caller may see, where that is not known.
    pub(crate) plan: Option<Plan>,
}

impl Scenario {
    pub(crate) fn case(&self, streamed: bool) -> &Case {
        if streamed {
            &self.streamed
        } else {
            &self.plain
        }
    }

    /// The scenario as a file, to begin one's own from.
    pub(crate) fn file(&self) -> ScriptFile {
        let (plain, streamed) = (&self.plain.script.calls, &self.streamed.script.calls);
        ScriptFile {
            name: self.name.clone(),
            calls: plain.clone(),
            streamed_calls: (plain != streamed).then(|| streamed.clone()),
            then: self.plain.script.then,
        }
    }

    /// A scenario that the suite does not know.
    pub(crate) fn from_file(file: &ScriptFile) -> Self {
        let case = |streamed| Case {
            script: file.script(streamed),
            content: Content::Any,
            plan: None,
        };
        Self {
            name: file.name.clone(),
            plain: case(false),
            streamed: case(true),
            on_sockets: false,
        }
    }

    fn new(name: &'static str, plain: (Call, Plan), streamed: (Call, Plan)) -> Self {
        let case = |(call, plan)| Case {
            script: Script {
                calls: vec![call],
                then: Then::RepeatLast,
            },
            content: Content::Text(answer::text()),
            plan: Some(plan),
        };
        Self {
            name: name.to_owned(),
            plain: case(plain),
            streamed: case(streamed),
            on_sockets: false,
        }
    }

    /// The same whether a stream is asked for or not.
    fn both(name: &'static str, call: &Call, plan: Plan) -> Self {
        Self::new(name, (call.clone(), plan), (call.clone(), plan))
    }

    fn on_sockets(mut self) -> Self {
        self.on_sockets = true;
        self
    }

    fn then(mut self, then: Then) -> Self {
        self.plain.script.then = then;
        self.streamed.script.then = then;
        self
    }

    fn call(mut self, call: &Call) -> Self {
        self.plain.script.calls.push(call.clone());
        self.streamed.script.calls.push(call.clone());
        self
    }

    fn content(mut self, plain: Content, streamed: Content) -> Self {
        self.plain.content = plain;
        self.streamed.content = streamed;
        self
    }
}

/// All that the suite knows.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = connections::scenarios();
    all.extend(errors::scenarios());
    all.extend(streams::scenarios());
    all.extend(shapes::scenarios());
    all
}
