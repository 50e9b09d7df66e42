//! The page with the charts: one file that loads nothing.

mod chart;

use std::fmt;

use self::chart::{Chart, Line};
use crate::{playbook::Run, timeline::Moment};

/// Light and dark, readable on a phone and in print.
const STYLE: &str = "
:root{color-scheme:light dark;--line:#8886;--old:#2563eb;--new:#d97706;--clients:#059669}
@media (prefers-color-scheme:dark){:root{--old:#60a5fa;--new:#fbbf24;--clients:#34d399}}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.25rem;margin-top:2.5rem}h3{font-size:1rem;margin:1.5rem 0 0}
dl{display:flex;flex-wrap:wrap;gap:1rem 2.5rem}dt{opacity:.7}dd{margin:0;font-size:1.3rem}
.scroll{overflow-x:auto}svg{width:100%;min-width:40rem;height:auto}text{fill:currentColor;font:11px system-ui,sans-serif}
.grid{stroke:var(--line)}.event{stroke:currentColor;stroke-dasharray:3 3;opacity:.5}
.old,.new,.clients{fill:none;stroke-width:1.8;stroke-linejoin:round}
.old{stroke:var(--old)}.new{stroke:var(--new)}.clients{stroke:var(--clients)}
.key{display:inline-block;width:1.2em;height:.25em;vertical-align:middle;margin-right:.4em}
.key.old{background:var(--old)}.key.new{background:var(--new)}.key.clients{background:var(--clients)}
.keys{display:flex;gap:1.5rem;opacity:.9}ol{columns:2;font-size:.9rem}@media (max-width:40rem){ol{columns:1}}
";

pub(crate) struct Page<'a>(pub(crate) &'a [Run]);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>A migration</title><style>{STYLE}</style><h1>A migration between two providers</h1>\
             <p>Time is simulated; the charts show a point for every ten seconds of it.</p>"
        )?;
        for run in self.0 {
            write!(f, "<h2>With {}</h2><dl>", run.title)?;
            for (name, value) in &run.figures {
                write!(f, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
            }
            f.write_str("</dl>")?;
            charts(f, run)?;
            f.write_str("<ol>")?;
            for (minute, what) in &run.timeline.events {
                write!(f, "<li>{minute:.1} min: {}</li>", Escaped(what))?;
            }
            f.write_str("</ol>")?;
        }
        f.write_str("</html>\n")
    }
}

fn charts(f: &mut fmt::Formatter<'_>, run: &Run) -> fmt::Result {
    let line = |name, class, value: &dyn Fn(&Moment) -> Option<f64>| {
        let points = run.timeline.moments.iter();
        let points = points.map(|moment| (moment.minute, value(moment)));
        Line {
            name,
            class,
            points: points.collect(),
        }
    };
    let three = |of: fn(&Moment) -> [Option<f64>; 3]| {
        vec![
            line("incumbent", "old", &|moment| of(moment)[0]),
            line("candidate", "new", &|moment| of(moment)[1]),
            line("clients", "clients", &|moment| of(moment)[2]),
        ]
    };
    let charts = [
        Chart {
            title: "Weights: the candidate's share",
            unit: "%",
            lines: vec![
                line("incumbent", "old", &|moment| Some(100.0 - moment.share)),
                line("candidate", "new", &|moment| Some(moment.share)),
            ],
        },
        Chart {
            title: "Error rate: attempts at each provider, and what clients saw",
            unit: "%",
            lines: three(|moment| moment.errors),
        },
        Chart {
            title: "95th percentile of latency",
            unit: "ms",
            lines: three(|moment| moment.p95),
        },
        Chart {
            title: "Cost of 1,000 requests",
            unit: "USD",
            lines: vec![line("all requests", "clients", &|moment| moment.cost)],
        },
    ];
    for chart in charts {
        chart.draw(f, &run.timeline.events)?;
    }
    Ok(())
}

/// Text that stands in HTML.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
