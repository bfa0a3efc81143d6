//! What a run says at its end: figures with a unit and, where one is set, a target; as a table
//! for people and as one JSON object for machines. A figure may be a check: its failure makes
//! the process fail.

use comfy_table::{Cell, Color, Table, presets};
use serde::Serialize;

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Target {
    fn reached_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {}", number(least)),
            Self::AtMost(most) => format!("<= {}", number(most)),
        }
    }
}

/// One measured value.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what; empty for a count.
    pub unit: &'static str,
    /// What it must reach, if anything.
    pub target: Option<Target>,
    /// Whether a miss makes the process fail: loss, repeats, order.
    pub check: bool,
}

/// The figures of one run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Which scenario, with what parameters.
    pub run: String,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// What a reader should know: the first refusals, how connections ended.
    pub notes: Vec<String>,
}

impl Report {
    /// An empty report.
    pub fn new(run: impl Into<String>) -> Self {
        Self {
            run: run.into(),
            ..Self::default()
        }
    }

    /// A value that is only told.
    pub fn tell(&mut self, name: &str, value: f64, unit: &'static str) {
        self.put(name, value, unit, None, false);
    }

    /// A value with a target.
    pub fn aim(&mut self, name: &str, value: f64, unit: &'static str, target: Target) {
        self.put(name, value, unit, Some(target), false);
    }

    /// A count that must be 0.
    pub fn none(&mut self, name: &str, count: u64) {
        self.put(name, count as f64, "", Some(Target::AtMost(0.0)), true);
    }

    /// A remark.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The value of the figure of this name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|figure| figure.name == name)
            .map(|figure| figure.value)
    }

    /// Whether every check holds.
    pub fn sound(&self) -> bool {
        self.figures
            .iter()
            .filter(|figure| figure.check)
            .all(Figure::reached)
    }

    fn put(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        target: Option<Target>,
        check: bool,
    ) {
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit,
            target,
            check,
        });
    }
}

impl Figure {
    /// Whether the target is reached; true if there is none.
    pub fn reached(&self) -> bool {
        self.target
            .is_none_or(|target| target.reached_by(self.value))
    }

    fn verdict(&self) -> Cell {
        match (self.target, self.reached(), self.check) {
            (None, _, _) => Cell::new(""),
            (_, true, _) => Cell::new("reached").fg(Color::Green),
            (_, false, false) => Cell::new("missed").fg(Color::Yellow),
            (_, false, true) => Cell::new("FAILED").fg(Color::Red),
        }
    }
}

/// Bytes in MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// One table of several reports, with their notes below.
pub fn table(reports: &[Report]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_MARKDOWN)
        .set_header(["run", "figure", "value", "target", "verdict"]);
    let mut notes = String::new();
    for report in reports {
        let mut run = report.run.as_str();
        for figure in &report.figures {
            let value = format!("{} {}", number(figure.value), figure.unit);
            let target = figure.target.map(Target::text).unwrap_or_default();
            table.add_row([
                run.into(),
                Cell::new(&figure.name),
                value.into(),
                target.into(),
                figure.verdict(),
            ]);
            run = "";
        }
        for note in &report.notes {
            notes.extend([
                "
",
                &report.run,
                ": ",
                note,
            ]);
        }
    }
    format!("{table}{notes}")
}

/// Two servers side by side: the median of each figure over the rounds, and the second as a
/// multiple of the first.
pub fn comparison(first: &[Report], second: &[Report]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "figure",
        "server",
        "against",
        "against / server",
    ]);
    for figure in first
        .first()
        .map_or([].as_slice(), |report| &report.figures)
    {
        let (one, other) = (median(first, &figure.name), median(second, &figure.name));
        let ratio = if one == 0.0 {
            String::new()
        } else {
            format!("{:.3}", other / one)
        };
        let cell = |value: f64| format!("{} {}", number(value), figure.unit);
        table.add_row([figure.name.clone(), cell(one), cell(other), ratio]);
    }
    table.to_string()
}

fn median(reports: &[Report], name: &str) -> f64 {
    let mut values: Vec<f64> = reports
        .iter()
        .filter_map(|report| report.value(name))
        .collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Digits in groups of three, decimals only where they say something.
fn number(value: f64) -> String {
    if value.fract().abs() > f64::EPSILON && value.abs() < 1000.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(0.4567), "0.46");
        assert_eq!(number(0.0), "0");
    }

    #[test]
    fn a_missed_aim_is_told_but_only_a_failed_check_is_unsound() {
        let mut report = Report::new("r");
        report.aim("speed", 10.0, "1/s", Target::AtLeast(20.0));
        assert!(report.sound() && !report.figures[0].reached());
        report.none("lost", 1);
        assert!(!report.sound());
        assert!(table(&[report]).contains("FAILED"));
    }
}
