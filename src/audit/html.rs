//! The report as a page that needs no network.

use std::fmt::{self, Display, Formatter};

use super::{
    Report,
    report::share,
    table::{MONTHS, Usd, millis, percent, permille, thousands, times},
};
use crate::message::catalog::Cost;

/// Light and dark, readable on a phone and in print.
const STYLE: &str = "
:root{color-scheme:light dark;--line:#8886;--bar:#2563eb;--other:#059669}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
dl{display:flex;flex-wrap:wrap;gap:1rem 2.5rem}dt{opacity:.7}dd{margin:0;font-size:1.4rem}
.bar{fill:var(--bar)}.bar.other{fill:var(--other)}svg{width:100%;height:auto}text{fill:currentColor;font:13px system-ui,sans-serif}
";

/// A report as one page of HTML, with charts, that loads nothing.
pub(super) struct Page<'a>(pub(super) &'a Report);

/// Text that stands in HTML.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let total = &report.total;
        write!(
            f,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>What was used and what it cost</title><style>{STYLE}</style>\
             <h1>What was used and what it cost</h1><dl>"
        )?;
        for (name, value) in [
            ("requests", thousands(total.requests)),
            ("attempts", thousands(total.attempts)),
            ("tokens in", thousands(total.usage.total_input())),
            ("tokens out", thousands(total.usage.total_output())),
            ("USD", Usd(total.cost_usd).to_string()),
            ("failed", percent(share(total.errors, total.attempts))),
            ("attempts without a price", thousands(total.unpriced)),
        ] {
            write!(f, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
        }
        f.write_str("</dl>")?;
        self.models(f)?;
        self.groups(f)?;
        self.compared(f)?;
        f.write_str("</html>\n")
    }
}

impl Page<'_> {
    fn models(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<h2>Models</h2>")?;
        let bars = self.0.models.iter().take(12);
        let bars: Vec<_> = bars
            .map(|row| {
                (
                    format!("{} at {}", row.model, row.upstream),
                    row.sums.cost_usd,
                )
            })
            .collect();
        chart(f, "Cost by model, in USD", &bars, None)?;
        let header = [
            "model",
            "upstream",
            "requests",
            "tokens in",
            "tokens out",
            "USD",
            "p50",
            "p95",
            "p99",
            "errors",
        ];
        table(
            f,
            &header,
            self.0.models.iter().map(|row| {
                vec![
                    row.model.clone(),
                    row.upstream.clone(),
                    thousands(row.sums.requests),
                    thousands(row.sums.usage.total_input()),
                    thousands(row.sums.usage.total_output()),
                    Usd(row.sums.cost_usd).to_string(),
                    millis(&row.latency, 0.50),
                    millis(&row.latency, 0.95),
                    millis(&row.latency, 0.99),
                    percent(row.error_rate()),
                ]
            }),
        )
    }

    fn groups(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let total = &self.0.total;
        for (title, groups) in [
            ("Kinds of requests", &self.0.kinds),
            ("Sizes of prompts", &self.0.sizes),
        ] {
            write!(f, "<h2>{title}</h2>")?;
            let header = [title, "requests", "share", "tokens in", "tokens out", "USD"];
            table(
                f,
                &header,
                groups.iter().map(|group| {
                    vec![
                        group.name.clone(),
                        thousands(group.sums.requests),
                        percent(share(group.sums.requests, total.requests)),
                        thousands(group.sums.usage.total_input()),
                        thousands(group.sums.usage.total_output()),
                        Usd(group.sums.cost_usd).to_string(),
                    ]
                }),
            )?;
        }
        Ok(())
    }

    fn compared(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.compared.is_empty() {
            return Ok(());
        }
        let actual = self.0.total.cost_usd;
        f.write_str("<h2>The same traffic elsewhere</h2><p>The records taken as one month's.</p>")?;
        let mut bars = vec![("what served".to_owned(), actual)];
        bars.extend(
            self.0
                .compared
                .iter()
                .map(|row| (row.model.clone(), row.cost)),
        );
        chart(f, "Cost a month, in USD", &bars, Some(0))?;
        let header = ["model", "USD a month", "USD a year", "saved"];
        let served = vec![
            "what served".to_owned(),
            Usd(actual).to_string(),
            Usd(times(actual, MONTHS)).to_string(),
            String::new(),
        ];
        let rows = self.0.compared.iter().map(|row| {
            vec![
                row.model.clone(),
                Usd(row.cost).to_string(),
                Usd(times(row.cost, MONTHS)).to_string(),
                row.saved_permille(actual)
                    .map_or_else(String::new, permille),
            ]
        });
        table(f, &header, std::iter::once(served).chain(rows))
    }
}

fn table(
    f: &mut Formatter<'_>,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> fmt::Result {
    f.write_str("<div class=\"scroll\"><table><thead><tr>")?;
    for name in header {
        write!(f, "<th scope=\"col\">{}</th>", Escaped(name))?;
    }
    f.write_str("</tr></thead><tbody>")?;
    for row in rows {
        f.write_str("<tr>")?;
        for cell in &row {
            write!(f, "<td>{}</td>", Escaped(cell))?;
        }
        f.write_str("</tr>")?;
    }
    f.write_str("</tbody></table></div>")
}

/// Bars beside each other's names; `first` has a colour of its own.
fn chart(
    f: &mut Formatter<'_>,
    title: &str,
    bars: &[(String, Cost)],
    first: Option<usize>,
) -> fmt::Result {
    const ROW: usize = 26;
    const WIDTH: f64 = 480.0;
    let most = bars
        .iter()
        .map(|(_, cost)| cost.approx_usd())
        .fold(0.0, f64::max);
    write!(
        f,
        "<svg role=\"img\" viewBox=\"0 0 860 {}\"><title>{}</title>",
        bars.len() * ROW + 4,
        Escaped(title)
    )?;
    for (at, (name, cost)) in bars.iter().enumerate() {
        let width = if most > 0.0 {
            cost.approx_usd() / most * WIDTH
        } else {
            0.0
        };
        let class = if first == Some(at) {
            "bar other"
        } else {
            "bar"
        };
        let y = at * ROW;
        write!(
            f,
            "<text x=\"240\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"250\" y=\"{}\" width=\"{width:.1}\" height=\"18\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            y + 18,
            Escaped(name),
            y + 4,
            256.0 + width,
            y + 18,
            Usd(*cost)
        )?;
    }
    f.write_str("</svg>")
}
