//! What came of every request, as those who asked, the upstream and the audit file have it.

use std::{collections::HashMap, path::Path, sync::atomic::Ordering::SeqCst, time::Duration};

use tower_relay::{
    ledger::{Record, read_files},
    message::{CostSource, catalog::Cost},
};

use super::{
    books::{Books, Tokens},
    callers::{APART, Seen},
};

/// What no request takes: the upstream's silence is waited out for 10 s at a time, and a caller's for a permit for 2 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// Every request in the audit file, and every token and its price as the upstream's own books have them.
pub(super) fn account(
    log: &HashMap<String, (Seen, Duration)>,
    books: &Books,
    folder: &Path,
    took: Duration,
) {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut records =
        read_files(files.filter(|path| path.extension().is_some_and(|e| e == "jsonl")));
    let mut lines = HashMap::<String, Vec<Record>>::new();
    for record in &mut records {
        let record = record.unwrap();
        lines
            .entry(record.request_id.to_string())
            .or_default()
            .push(record);
    }
    assert_eq!(records.skipped(), 0);

    let answered = books.answered.lock().unwrap();
    let (mut counts, mut tokens, mut cost) = ([0_u64; 5], (0, 0), Cost::ZERO);
    for (id, (seen, _)) in log {
        let lines = lines.get(id).map_or(&[][..], Vec::as_slice);
        let reported = lines
            .iter()
            .filter(|line| line.source == CostSource::Reported);
        let reported: Vec<Tokens> = reported
            .map(|line| {
                let (input, output) = (line.usage.total_input(), line.usage.total_output());
                let price = u128::from(input) * 2_000_000 + u128::from(output) * 8_000_000;
                assert_eq!(line.cost_usd, Some(Cost::from_pico_usd(price)), "{line:?}");
                cost += Cost::from_pico_usd(price);
                tokens = (tokens.0 + input, tokens.1 + output);
                (input, output)
            })
            .collect();
        let booked = answered.get(id).cloned().unwrap_or_default();
        let attempts: std::collections::HashSet<_> =
            lines.iter().map(|line| line.attempt).collect();
        assert_eq!(attempts.len(), lines.len(), "an attempt twice: {lines:?}");
        let kind = match *seen {
            Seen::Answered(tokens) => {
                assert!(reported.contains(&tokens), "{id}: {tokens:?} of {lines:?}");
                0
            }
            Seen::Denied(_) if lines.is_empty() => 1,
            Seen::Denied(_) => 2,
            Seen::Broken => {
                assert!(!lines.is_empty(), "{id}");
                3
            }
            Seen::Left => 4,
        };
        counts[kind] += 1;
        // What was told in full is reported as it is; where its caller left or its time was over, by what was seen of it.
        let metered = |line: &Record| (line.usage.total_input(), line.usage.total_output());
        assert!(
            reported.iter().all(|tokens| booked.contains(tokens))
                && (*seen == Seen::Left
                    || booked
                        .iter()
                        .all(|tokens| lines.iter().any(|line| metered(line) == *tokens))),
            "{id}: {lines:?}, {booked:?}"
        );
    }
    let unknown = lines
        .keys()
        .filter(|id| !log.contains_key(*id) && *id != APART);
    assert_eq!(unknown.count(), 0);
    let [answered, refused, failed, broken, left] = counts;
    println!(
        "{} requests in {took:.0?}: {answered} answered, {refused} refused, {failed} failed, {broken} broken off, {left} left by their callers; \
         {} attempts in the audit of {} that the upstream saw; {} and {} tokens, {} USD, as in its own books",
        log.len(),
        lines.values().map(Vec::len).sum::<usize>(),
        books.requests.load(SeqCst),
        tokens.0,
        tokens.1,
        cost,
    );
    assert!(answered > 0, "nothing was answered");
    let slowest = log.iter().max_by_key(|(_, (_, took))| *took);
    let (id, (seen, took)) = slowest.unwrap();
    println!("the slowest took {took:.1?}: {seen:?}");
    assert!(*took < PATIENCE, "{id}: {:?}", lines.get(id));
}
