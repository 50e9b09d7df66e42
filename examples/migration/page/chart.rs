//! Lines over time, as SVG.

use std::fmt::{self, Write};

use super::Escaped;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
/// Room for the figures at the left, and for the minutes below.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;

pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'a str,
    /// Minutes and values; a gap where nothing was seen.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// Where values stand.
struct Scale {
    minutes: f64,
    most: f64,
}

impl Scale {
    fn x(&self, minute: f64) -> f64 {
        LEFT + minute / self.minutes * (WIDTH - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (1.0 - value / self.most) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Chart<'_> {
    pub(super) fn draw(&self, f: &mut fmt::Formatter<'_>, events: &[(f64, String)]) -> fmt::Result {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let most = points().filter_map(|(_, value)| *value).fold(0.0, f64::max);
        let scale = Scale {
            minutes: points().map(|(minute, _)| *minute).fold(1.0, f64::max),
            most: round(most),
        };
        write!(f, "<h3>{}</h3><div class=\"keys\">", self.title)?;
        for line in &self.lines {
            write!(
                f,
                "<span><i class=\"key {}\"></i>{}</span>",
                line.class, line.name
            )?;
        }
        write!(
            f,
            "</div><div class=\"scroll\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            self.title
        )?;
        for part in 0..=4 {
            let value = scale.most * f64::from(part) / 4.0;
            let y = scale.y(value);
            write!(
                f,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{WIDTH}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} {}</text>",
                LEFT - 6.0,
                y + 4.0,
                figure(value),
                self.unit
            )?;
        }
        let mut minute = 0.0;
        while minute <= scale.minutes {
            let x = scale.x(minute);
            let y = HEIGHT - 6.0;
            write!(f, "<text x=\"{x:.1}\" y=\"{y:.1}\">{minute:.0} min</text>")?;
            minute += 5.0;
        }
        for (minute, what) in events {
            let (x, below) = (scale.x(*minute), HEIGHT - BOTTOM);
            write!(
                f,
                "<path class=\"event\" d=\"M{x:.1} {TOP}V{below}\"><title>{}</title></path>",
                Escaped(what)
            )?;
        }
        for line in &self.lines {
            write!(
                f,
                "<path class=\"{}\" d=\"{}\"/>",
                line.class,
                line.path(&scale)?
            )?;
        }
        f.write_str("</svg></div>")
    }
}

impl Line<'_> {
    fn path(&self, scale: &Scale) -> Result<String, fmt::Error> {
        let (mut path, mut is_open) = (String::new(), false);
        for (minute, value) in &self.points {
            let Some(value) = value else {
                is_open = false;
                continue;
            };
            let step = if is_open { 'L' } else { 'M' };
            write!(path, "{step}{:.1} {:.1}", scale.x(*minute), scale.y(*value))?;
            is_open = true;
        }
        Ok(path)
    }
}

/// The next number above that is easy to divide.
fn round(value: f64) -> f64 {
    let mut step = 0.0001;
    while step < value {
        for factor in [2.0, 4.0, 10.0] {
            if step * factor >= value {
                return step * factor;
            }
        }
        step *= 10.0;
    }
    step
}

fn figure(value: f64) -> String {
    let decimals = if value == 0.0 || value >= 10.0 {
        0
    } else if value >= 1.0 {
        1
    } else {
        4
    };
    format!("{value:.decimals$}")
}
