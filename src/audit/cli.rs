//! The report as a program.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use lexopt::{Arg, Parser, ValueExt};

use super::{Reconciliation, Report, ReportBuilder, html::Page, table::Text};
use crate::{
    ledger::read_files,
    message::catalog::{ModelCatalog, ModelTable},
};

const HELP: &str = "\
What an audit file says: requests, tokens, cost, latency and errors by model, and what the same traffic would have cost elsewhere.

Usage: audit_report [OPTIONS] FILE...

Options:
      --compare MODEL   What the same tokens would have cost with this model; again, or with commas, for several
      --prices FILE     Prices of your own (TOML), laid over the built-in ones; may be given again
      --reconcile FILE  A provider's own export (CSV with a header) beside our sums
      --html FILE       Writes a page with charts as well
  -h, --help            Print this
";

#[derive(Default)]
struct Options {
    files: Vec<PathBuf>,
    compare: Vec<String>,
    prices: Vec<PathBuf>,
    reconcile: Option<PathBuf>,
    html: Option<PathBuf>,
    help: bool,
}

/// The report as a program: reads the command line and the files that it names, prints, and says with what to exit.
///
/// `--help` prints its options.
pub fn main() -> ExitCode {
    match run(env::args_os().skip(1)) {
        Ok(text) => {
            let mut out = io::stdout().lock();
            match write!(out, "{text}").and_then(|()| out.flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(problem) => {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "audit_report: {problem}");
            ExitCode::from(2)
        }
    }
}

pub(super) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<String, String> {
    let options = parse(arguments).map_err(|error| format!("{error}; --help lists the options"))?;
    if options.help {
        return Ok(HELP.to_owned());
    }
    if options.files.is_empty() {
        return Err("which file? --help lists the options".to_owned());
    }
    let report = read(&options)?;
    let reconciliation = match &options.reconcile {
        None => None,
        Some(path) => {
            let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let export = File::open(path).map_err(|error| failed(&error))?;
            let read = Reconciliation::read(&report, export);
            Some(read.map_err(|error| failed(&error))?)
        }
    };
    if let Some(path) = &options.html {
        fs::write(path, Page(&report).to_string())
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let text = Text {
        report: &report,
        reconciliation: reconciliation.as_ref(),
    };
    Ok(text.to_string())
}

fn read(options: &Options) -> Result<Report, String> {
    let mut table = ModelTable::builtin();
    for path in &options.prices {
        let failed = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let own = ModelTable::from_toml(&text).map_err(|error| failed(error.to_string()))?;
        table = table.overlay(&own);
    }
    let catalog = ModelCatalog::new(table);
    let mut report =
        ReportBuilder::new(&catalog, &options.compare).map_err(|error| error.to_string())?;
    let mut records = read_files(&options.files);
    for record in &mut records {
        report.add(&record.map_err(|error| error.to_string())?);
    }
    Ok(report.finish(records.skipped()))
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, lexopt::Error> {
    let mut options = Options::default();
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("compare") => {
                let names = parser.value()?.string()?;
                let names = names
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty());
                options.compare.extend(names.map(str::to_owned));
            }
            Arg::Long("prices") => options.prices.push(parser.value()?.into()),
            Arg::Long("reconcile") => options.reconcile = Some(parser.value()?.into()),
            Arg::Long("html") => options.html = Some(parser.value()?.into()),
            Arg::Short('h') | Arg::Long("help") => options.help = true,
            Arg::Value(file) => options.files.push(file.into()),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}
