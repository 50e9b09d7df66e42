//! JSON lines as one body, for a caller who asked for no stream.

use bytes::Bytes;

use super::{
    Names,
    detect::Api,
    piece::{Framer, Piece},
    reader::Reader,
    sink::Sink,
    whole::Whole,
};
use crate::{
    message::{ApiError, BoxError, Dialect, MAX_JSON, Output, Transform, usage::UsageScan},
    normalize::{
        NormalizePolicy, errors,
        repairs::{Repair, Repairs},
        tally::Tally,
    },
};

/// Reads lines until the answer is whole, and writes it then.
pub(super) struct Gathered {
    framer: Framer,
    reader: Option<Reader>,
    whole: Whole,
    usage: UsageScan,
    tally: Tally,
}

impl Gathered {
    pub(super) fn new(names: Names, policy: NormalizePolicy, tally: Tally) -> Self {
        let mut whole = Whole::new(names);
        if policy == NormalizePolicy::Strict {
            whole.fail(&errors::nonconformant(Repair::Native));
        }
        Self {
            framer: Framer::of_lines(),
            reader: None,
            whole,
            usage: UsageScan::default(),
            tally,
        }
    }

    fn line(&mut self, line: Piece<'_>) -> Result<(), BoxError> {
        let Some(json) = line.data().filter(|_| !self.whole.is_over()) else {
            return Ok(());
        };
        if let Some(error) = ApiError::in_answer(&json) {
            self.whole.fail(&error);
            return Ok(());
        }
        let reader = if let Some(reader) = &mut self.reader {
            reader
        } else {
            let api = Api::of_event(None, &json)
                .ok_or("the upstream answered in lines of an API that is not known")?;
            self.reader.insert(Reader::new(api))
        };
        self.usage.event(&json);
        reader.event(None, &json, &mut self.whole)?;
        if self.whole.held() > MAX_JSON {
            return Err("the upstream's answer is longer than is held".into());
        }
        Ok(())
    }
}

impl Transform for Gathered {
    fn data(&mut self, chunk: Bytes, _: &mut Output<'_>) -> Result<(), BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        let result = framer.each(&chunk, |line| self.line(line));
        self.framer = framer;
        result
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        if let Some(line) = framer.finish()? {
            self.line(line)?;
        }
        if !self.whole.is_over() {
            return Err("the upstream's answer broke off".into());
        }
        let whole = std::mem::replace(&mut self.whole, Whole::new(Names::none()));
        let mut repairs = Repairs::default();
        repairs.add(Repair::Native);
        let body = whole.finish(self.usage.usage().as_ref(), &mut repairs);
        self.tally.count(repairs);
        output.push(body.unwrap_or_else(|error| error.to_json(Dialect::OpenAi).into()))
    }
}
