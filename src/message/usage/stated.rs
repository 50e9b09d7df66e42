use super::Usage;

/// The counts as a provider states them: they may overlap, disagree with each other, or be absent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stated {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) cache_read: Option<u64>,
    /// All writes together; the next two are parts of it.
    pub(super) cache_write: Option<u64>,
    pub(super) cache_write_5m: Option<u64>,
    pub(super) cache_write_1h: Option<u64>,
    pub(super) reasoning: Option<u64>,
    pub(super) audio_in: Option<u64>,
    /// The part of `audio_in` that is also in `cache_read`.
    pub(super) audio_cached: Option<u64>,
    pub(super) audio_out: Option<u64>,
    pub(super) audio_seconds: Option<u64>,
    /// Input that `input` leaves out: what tools brought in, images, citations.
    pub(super) more_input: Option<u64>,
    pub(super) marks: Marks,
}

/// What the names of the counts say about which contains which.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is said or not, whatever the others"
)]
pub(super) struct Marks {
    /// A name that stands for an input with the cache inside it.
    pub(super) cache_inside: bool,
    /// A name that stands for a cache beside the input.
    pub(super) cache_beside: bool,
    /// A name that stands for reasoning beside the output.
    pub(super) reasoning_beside: bool,
    /// A place that holds reasoning inside the output, which counts where there are both: somebody has told the same in OpenAI's names.
    pub(super) reasoning_inside: bool,
}

impl Stated {
    pub(super) fn states_nothing(&self) -> bool {
        [
            self.input,
            self.output,
            self.total,
            self.cache_read,
            self.cache_write,
            self.cache_write_5m,
            self.cache_write_1h,
            self.reasoning,
            self.audio_in,
            self.audio_out,
            self.more_input,
        ]
        .iter()
        .all(Option::is_none)
    }

    /// Takes over every count that `later` states.
    pub(super) fn update(&mut self, later: &Self) {
        let pick = |field: &mut Option<u64>, later: Option<u64>| *field = later.or(*field);
        pick(&mut self.input, later.input);
        pick(&mut self.output, later.output);
        pick(&mut self.total, later.total);
        pick(&mut self.cache_read, later.cache_read);
        pick(&mut self.cache_write, later.cache_write);
        pick(&mut self.cache_write_5m, later.cache_write_5m);
        pick(&mut self.cache_write_1h, later.cache_write_1h);
        pick(&mut self.reasoning, later.reasoning);
        pick(&mut self.audio_in, later.audio_in);
        pick(&mut self.audio_cached, later.audio_cached);
        pick(&mut self.audio_out, later.audio_out);
        pick(&mut self.audio_seconds, later.audio_seconds);
        pick(&mut self.more_input, later.more_input);
        self.marks.cache_inside |= later.marks.cache_inside;
        self.marks.cache_beside |= later.marks.cache_beside;
        self.marks.reasoning_beside |= later.marks.reasoning_beside;
        self.marks.reasoning_inside |= later.marks.reasoning_inside;
    }

    /// The same counts without overlap; `None` when none is stated.
    pub(super) fn disjoint(&self) -> Option<Usage> {
        if self.states_nothing() {
            return None;
        }
        let reasoning = self.reasoning.unwrap_or(0);
        let cache_read = self.cache_read.unwrap_or(0);
        let writes_1h = self.cache_write_1h.unwrap_or(0);
        let cache_write = self
            .cache_write
            .unwrap_or(self.cache_write_5m.unwrap_or(0).saturating_add(writes_1h));
        let cache = cache_read.saturating_add(cache_write);

        let mut cache_is_beside = self.marks.cache_beside && !self.marks.cache_inside;
        let reasoning_beside = if self.marks.reasoning_beside && !self.marks.reasoning_inside {
            reasoning
        } else {
            0
        };
        let beside = self
            .more_input
            .unwrap_or(0)
            .saturating_add(reasoning_beside)
            .saturating_add(if cache_is_beside { cache } else { 0 });

        let total = self.total.unwrap_or(0);
        let (prompt, completion) = match (self.input, self.output) {
            (Some(prompt), Some(completion)) => (prompt, completion),
            (Some(prompt), None) => (prompt, remainder(total, &[prompt, beside])),
            (None, completion) => {
                let completion = completion.unwrap_or(0);
                (remainder(total, &[completion, beside]), completion)
            }
        };

        // What the total counts beyond the parts. The counts that may be beside their side instead of inside it explain it
        // where they match it exactly; what nothing explains is output, as thinking is what providers leave out.
        let mut audio_beside = 0;
        let mut unnamed_output = 0;
        let audio_in = self.audio_in.unwrap_or(0);
        match remainder(total, &[prompt, completion, beside]) {
            0 => {}
            surplus if surplus == reasoning => unnamed_output = surplus,
            surplus if surplus == audio_in || self.audio_seconds > Some(0) => {
                audio_beside = surplus;
            }
            surplus if surplus == cache && !cache_is_beside => cache_is_beside = true,
            surplus => unnamed_output = surplus,
        }

        let mut input = Pool(
            prompt
                .saturating_add(self.more_input.unwrap_or(0))
                .saturating_add(if cache_is_beside { cache } else { 0 }),
        );
        let cache_read = input.take(cache_read);
        let cache_write = input.take(cache_write);
        let cache_write_1h = writes_1h.min(cache_write);
        let audio_in = if audio_beside > 0 {
            audio_beside
        } else {
            input.take(audio_in.saturating_sub(self.audio_cached.unwrap_or(0)))
        };

        let mut output = Pool(
            completion
                .saturating_add(reasoning_beside)
                .saturating_add(unnamed_output),
        );
        let reasoning = output.take(reasoning);
        let audio_out = output.take(self.audio_out.unwrap_or(0));

        Some(Usage {
            input: input.0,
            cache_read,
            cache_write_5m: cache_write - cache_write_1h,
            cache_write_1h,
            output: output.0,
            reasoning,
            audio_in,
            audio_out,
        })
    }
}

fn remainder(whole: u64, parts: &[u64]) -> u64 {
    parts
        .iter()
        .fold(whole, |left, part| left.saturating_sub(*part))
}

/// Tokens not yet given to a kind: no kind gets more than is left.
struct Pool(u64);

impl Pool {
    fn take(&mut self, wanted: u64) -> u64 {
        let taken = wanted.min(self.0);
        self.0 -= taken;
        taken
    }
}
