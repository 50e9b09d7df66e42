//! One attempt, from its request to its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time::Instant;

use super::{OnDisconnect, layer::Shared, pricing::Pricing};
use crate::{
    key::Key,
    ledger::{Record, Slot},
    message::{
        Accounts, Bill, BillLine, Chosen, Completion, CostSource, Deadline, End, Endpoint, Failure,
        OpenLine, Outcome, Phase, RequestBody, RequestId, ResponseBody, Selection, Served,
        Shadowed, Tags, catalog::Cost, classify_error, given_up_for, usage::Usage,
    },
    wire::clock,
};

/// An attempt whose line is still to be written: when its answer has ended or, at the latest, when this is dropped.
pub(super) struct Attempt {
    shared: Arc<Shared>,
    line: Option<OpenLine>,
    slot: Option<Slot>,
    /// It waits for its slot, and nothing is sent before.
    waits: bool,
    /// A meter further in counts this attempt.
    counted_within: Counted,
    /// The request's body, to be weighed where the answer does not say what it used.
    body: RequestBody,
    endpoint: Endpoint,
    is_stream: bool,
    about: Option<Box<About>>,
    chosen: Option<Arc<str>>,
    time: SystemTime,
    started: Instant,
    /// When the request as a whole is given up.
    deadline: Option<Deadline>,
    head: Option<Head>,
}

/// Stands in the extensions of a request within a meter: one further in says that it counts the attempt.
#[derive(Debug, Clone, Default)]
struct Counted(Arc<AtomicBool>);

/// What only a ledger wants to know of the request.
struct About {
    request_id: Option<RequestId>,
    key: Option<Key>,
    tags: Tags,
    complexity: Option<Box<str>>,
    budgets: Tags,
    is_shadow: bool,
}

/// What the head of the answer said.
struct Head {
    status: u16,
    served: Option<Served>,
    outcome: Outcome,
    /// It is an error that nobody had read when it passed.
    is_unread: bool,
}

impl Attempt {
    pub(super) fn begin(
        shared: &Arc<Shared>,
        request: &mut Request<RequestBody>,
        endpoint: Endpoint,
    ) -> Self {
        let bill = Bill::of(request.extensions_mut());
        let counted_within = Counted::default();
        if let Some(outer) = request.extensions_mut().insert(counted_within.clone()) {
            outer.0.store(true, Ordering::Relaxed);
        }
        let extensions = request.extensions();
        let about = shared.ledger.as_ref().map(|_| {
            Box::new(About {
                request_id: extensions.get().cloned(),
                key: shared.key.key_of(request).ok().flatten(),
                tags: extensions.get().cloned().unwrap_or_default(),
                budgets: extensions
                    .get()
                    .map(|Accounts(budgets)| budgets.clone())
                    .unwrap_or_default(),
                complexity: extensions
                    .get()
                    .map(|selection: &Selection| (*selection.complexity).into()),
                is_shadow: shared.shadow || extensions.get::<Shadowed>().is_some(),
            })
        });
        Self {
            line: Some(bill.open()),
            slot: None,
            waits: false,
            counted_within,
            body: request.body().try_clone().unwrap_or_default(),
            endpoint,
            is_stream: request.body().is_streaming(),
            about,
            chosen: extensions
                .get()
                .map(|Chosen(upstream)| Arc::clone(upstream)),
            time: clock::now(),
            started: Instant::now(),
            deadline: Deadline::of(extensions),
            head: None,
            shared: Arc::clone(shared),
        }
    }

    /// Waits for room for the record.
    pub(super) fn wait(&mut self) {
        self.waits = true;
    }

    /// Takes room for the record, and begins only now: the wait was not the upstream's.
    pub(super) fn take_slot(&mut self, slot: Slot) {
        self.slot = Some(slot);
        self.waits = false;
        self.started = Instant::now();
        self.time = clock::now();
    }

    /// Reads the head of the answer.
    pub(super) fn answered(&mut self, response: &Response<ResponseBody>) {
        let read = Outcome::of_head(response);
        self.head = Some(Head {
            status: response.status().as_u16(),
            served: response.extensions().get().cloned(),
            outcome: read.unwrap_or_else(|| Outcome::of_unread(response)),
            is_unread: read.is_none(),
        });
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn bill(&self) -> Option<&Bill> {
        self.line.as_ref().map(OpenLine::bill)
    }

    /// The prices of whatever served; `answered` is the model that the answer names.
    pub(super) fn pricing(&self, answered: Option<&str>) -> Pricing {
        let mut pricing = Pricing::new(self.shared.multiplier, self.shared.stated, self.time);
        let served = self.served_model();
        let names = served.as_deref().into_iter().chain(answered);
        let provider = self.shared.provider.as_deref();
        pricing.look_up(&self.shared.catalog, provider, names);
        pricing
    }

    fn served_model(&self) -> Option<Arc<str>> {
        let stamped = self
            .head
            .as_ref()
            .and_then(|head| head.served.as_ref()?.model.clone());
        stamped.or_else(|| {
            let model = self.body.model()?;
            let own = self
                .shared
                .own_names
                .as_ref()
                .and_then(|own| own.of(&model));
            Some(own.unwrap_or_else(|| (*model).into()))
        })
    }

    /// Writes the line: the answer has ended.
    pub(super) fn end(mut self, completion: &mut Completion) {
        self.settle(Some(completion));
    }

    fn settle(&mut self, completion: Option<&mut Completion>) {
        let Some(line) = self.line.take() else { return };
        if self.waits || self.counted_within.0.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let (usage, source) = self.used(completion.as_deref());
        let seen = completion.as_deref();
        let answered = seen.and_then(|seen| seen.model.as_deref());
        let cost = if source == CostSource::Unbilled {
            Some(Cost::ZERO)
        } else {
            let tier = seen.and_then(|seen| seen.service_tier.as_deref());
            let stated = seen.and_then(|seen| seen.stated_cost);
            self.pricing(answered).cost(&usage, tier, stated)
        };
        let model = self.served_model();
        let upstream = self.upstream();
        tracing::debug!(%upstream, cost_usd = cost.map(tracing::field::display), source = source.as_str(), "an attempt has ended");
        if let Some(about) = self.about.take() {
            let mut record = self.record(&about, &line, seen, now);
            (record.usage, record.source, record.cost_usd) = (usage, source, cost);
            record.model_served.clone_from(&model);
            if let Some(ledger) = &self.shared.ledger {
                ledger.record(record, self.slot.take().unwrap_or_default());
            }
        }
        let bill = line.bill().clone();
        line.close(BillLine::new(upstream, usage, source, cost).model(model));
        if let Some(completion) = completion {
            completion.bill = Some(bill);
        }
    }

    /// What was used, and how that is known.
    fn used(&self, completion: Option<&Completion>) -> (Usage, CostSource) {
        let unbilled = (Usage::default(), CostSource::Unbilled);
        let stated = completion.and_then(|completion| completion.usage);
        let bills_leavers = !matches!(self.shared.on_disconnect, OnDisconnect::CancelNoBill);
        let (Some(head), Some(completion)) = (&self.head, completion) else {
            // Left, or failed, before there was an answer: it may have been sent and be worked on.
            return if bills_leavers {
                (self.at_least(Usage::default(), 0), CostSource::Partial)
            } else {
                unbilled
            };
        };
        match head.outcome {
            Outcome::Success => {}
            // It was sent, and nobody knows what came of it; unless the upstream says so itself.
            Outcome::Timeout { phase: Phase::Head } | Outcome::Transport { phase: Phase::Head }
                if !head.is_unread =>
            {
                return (self.at_least(Usage::default(), 0), CostSource::Partial);
            }
            _ => return stated.map_or(unbilled, |usage| (usage, CostSource::Reported)),
        }
        let seen = completion.output_weight.unwrap_or(0);
        match (completion.end, stated) {
            (End::Complete, Some(usage)) => (usage, CostSource::Reported),
            (End::Complete, None) => (self.at_least(Usage::default(), seen), CostSource::Estimated),
            (End::Cancelled, _) if !bills_leavers => unbilled,
            // An error in place of an answer.
            (End::Failed(Failure::Stated), None) if completion.first_token_at.is_none() => unbilled,
            (End::Cancelled | End::Failed(_), usage) => {
                let usage = self.at_least(usage.unwrap_or_default(), seen);
                (usage, CostSource::Partial)
            }
        }
    }

    /// `usage`, with no less input than the prompt weighs, unless it says so itself, and no less output than was seen.
    fn at_least(&self, mut usage: Usage, seen: u64) -> Usage {
        if usage.total_input() == 0 {
            usage.input = self.shared.estimator.estimate(&self.body).unwrap_or(0);
        }
        let unseen = seen.saturating_sub(usage.total_output());
        usage.output = usage.output.saturating_add(unseen);
        usage
    }

    fn upstream(&self) -> Arc<str> {
        let served = self.head.as_ref().and_then(|head| head.served.as_ref());
        served
            .map(|served| &served.upstream)
            .or(self.chosen.as_ref())
            .unwrap_or(&self.shared.name)
            .clone()
    }

    fn record(
        &self,
        about: &About,
        line: &OpenLine,
        completion: Option<&Completion>,
        now: Instant,
    ) -> Record {
        let id = about.request_id.as_ref().map_or("", RequestId::as_str);
        let mut record = Record::new(self.time, id, self.upstream());
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let since = |moment: Instant| millis(moment.saturating_duration_since(self.started));
        record.attempt = line.take_number();
        record.key = about.key.as_ref().map(|key| key.to_string().into());
        record.model_asked = line
            .bill()
            .asked()
            .or_else(|| self.body.model().map(|model| (*model).into()));
        record.endpoint = self.endpoint;
        record.stream = self.is_stream;
        record.latency_ms = since(now);
        let outcome = match (&self.head, completion) {
            (Some(head), Some(completion)) => {
                record.latency_ms = since(completion.ended_at);
                record.ttft_ms = completion.first_token_at.map(since);
                record.finish_reason.clone_from(&completion.finish_reason);
                record.stated_cost_usd = completion.stated_cost;
                head.came_to(completion)
            }
            _ => given_up_for().unwrap_or_else(|| Outcome::of_leaving(self.deadline)),
        };
        record.outcome = outcome.as_str().into();
        if let Some(head) = &self.head {
            record.status = head.status;
            record.credential = head
                .served
                .as_ref()
                .and_then(|served| served.credential.clone());
        }
        if let Some(prompt) = self.body.prompt() {
            record.messages = prompt.messages;
            record.tools = prompt.tools;
            record.images = prompt.images;
            record.prompt_chars = prompt.text_chars;
        }
        record.max_output_tokens = self.body.max_output_tokens();
        record.complexity.clone_from(&about.complexity);
        record.tags = about.tags.clone();
        record.budgets = about.budgets.clone();
        record.shadow = about.is_shadow;
        record
    }
}

impl Head {
    /// What came of the answer. An error's body says more than its status does.
    fn came_to(&self, completion: &Completion) -> Outcome {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        match &completion.error {
            Some(error) if self.is_unread => classify_error(status, &HeaderMap::new(), error),
            _ => Outcome::of_completion(completion, self.outcome),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle(None);
    }
}
