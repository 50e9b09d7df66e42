//! A text that replicas keep together, and what they tell each other about it.

use std::{sync::Arc, time::Duration};

use ::redis::{FromRedisValue, Pipeline, RedisResult, Script, pipe};
use tokio::time::timeout;

use super::store::{PATIENCE, Store};

/// What was told is kept for replicas that could not look for a while: so many messages, about.
const MAX_TOLD: usize = 1_000;
/// As many messages are read in one go.
const BATCH: usize = 100;
/// Messages of a document that nobody tells anything of are forgotten after this.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Replaces the text where it is still what the caller takes it to be.
const REPLACE: &str = "
local text = redis.call('GET', KEYS[1])
if text == ARGV[1] or (not text and ARGV[1] == '') then
    redis.call('SET', KEYS[1], ARGV[2])
    return 1
end
return 0";

/// A text in the store of a [`RedisLimiter`](super::RedisLimiter), and a stream of messages beside it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    store: Arc<Store>,
    text: String,
    told: String,
}

/// What there is, and what others have told since.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// `None` where there is no text.
    pub(crate) text: Option<String>,
    /// Each with who told it, oldest first.
    pub(crate) messages: Vec<(String, Vec<u8>)>,
    /// The place after the last of them, to look from next.
    pub(crate) place: Option<String>,
}

/// A message: its place in the stream, and its fields.
type Message = (String, Vec<Vec<u8>>);

impl Document {
    pub(super) fn new(store: Arc<Store>, key: &str) -> Self {
        Self {
            store,
            // One hash tag, so that both are in one slot of a cluster.
            text: format!("{key}:state"),
            told: format!("{key}:told"),
        }
    }

    /// The text, and at most a hundred messages after `place`; without one, none but where the stream stands now.
    pub(crate) async fn look(&self, place: Option<&str>) -> Result<Looked, String> {
        let mut both = pipe();
        both.get(&self.text);
        match place {
            Some(place) => both
                .cmd("XRANGE")
                .arg(&self.told)
                .arg(format!("({place}"))
                .arg("+"),
            None => both.cmd("XREVRANGE").arg(&self.told).arg("+").arg("-"),
        };
        let count = if place.is_some() { BATCH } else { 1 };
        both.arg("COUNT").arg(count);
        let (text, messages): (Option<String>, Vec<Message>) = self.ask(both).await?;
        let last = messages.last().map(|(place, _)| place.clone());
        let messages = match place {
            None => Vec::new(),
            Some(_) => messages.into_iter().filter_map(read).collect(),
        };
        Ok(Looked {
            text,
            messages,
            place: last
                .or_else(|| place.map(str::to_owned))
                .or(Some("0-0".to_owned())),
        })
    }

    /// Puts `text` there, if what is there now is `known` (`None` for nothing); whether it was.
    pub(crate) async fn replace(&self, known: Option<&str>, text: &str) -> Result<bool, String> {
        let script = Script::new(REPLACE);
        let call = async {
            let mut connection = self.store.connection()?;
            let mut call = script.key(&self.text);
            call.arg(known.unwrap_or_default()).arg(text);
            call.invoke_async::<bool>(&mut connection).await
        };
        self.noted(timeout(PATIENCE, call).await.ok())
    }

    /// Tells the others.
    pub(crate) async fn tell(&self, by: &str, message: &[u8]) -> Result<(), String> {
        let mut both = pipe();
        both.cmd("XADD")
            .arg(&self.told)
            .arg("MAXLEN")
            .arg("~")
            .arg(MAX_TOLD)
            .arg("*");
        both.arg("by").arg(by).arg("said").arg(message).ignore();
        both.expire(
            &self.told,
            i64::try_from(FORGOTTEN_AFTER.as_secs()).unwrap_or(i64::MAX),
        );
        both.ignore();
        self.ask(both).await
    }

    async fn ask<T: FromRedisValue>(&self, calls: Pipeline) -> Result<T, String> {
        let asked = async {
            let mut connection = self.store.connection()?;
            calls.query_async(&mut connection).await
        };
        self.noted(timeout(PATIENCE, asked).await.ok())
    }

    fn noted<T>(&self, answered: Option<RedisResult<T>>) -> Result<T, String> {
        let reason = match &answered {
            Some(Err(error)) => error.to_string(),
            _ => "it does not answer".to_owned(),
        };
        self.store.noted(answered).ok_or(reason)
    }
}

/// Who told what; `None` for a message of another make.
fn read((_, fields): Message) -> Option<(String, Vec<u8>)> {
    let mut fields = fields.into_iter();
    let mut field = |name: &[u8]| fields.next().filter(|own| own == name).and(fields.next());
    let by = String::from_utf8(field(b"by")?).ok()?;
    Some((by, field(b"said")?))
}
