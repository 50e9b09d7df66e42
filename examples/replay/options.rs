//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

pub(crate) const HELP: &str = "\
A golden dataset against two stacks: what each makes of the same questions, and how good that is.

Usage: replay [OPTIONS] FILE

Options:
      --config FILE           A gateway's configuration; two demo upstreams without one
      --primary NAME          The upstream or route that stands for what there is
      --primary-model MODEL   What it is asked for
      --shadow NAME           The one that is to be as good
      --shadow-model MODEL    What that is asked for
      --concurrency N         Questions that are under way at a time [default: 8]
      --check                 Fails unless the gate is met and the answers are as good
  -h, --help                  Print this";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) dataset: PathBuf,
    pub(crate) config: Option<PathBuf>,
    /// A name and a model.
    pub(crate) primary: (Option<String>, Option<String>),
    pub(crate) shadow: (Option<String>, Option<String>),
    pub(crate) concurrency: usize,
    pub(crate) check: bool,
}

impl Options {
    /// `None` where help is asked for.
    pub(crate) fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut parser = Parser::from_env();
        let mut options = Self {
            dataset: PathBuf::new(),
            config: None,
            primary: (None, None),
            shadow: (None, None),
            concurrency: 8,
            check: false,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("config") => options.config = Some(parser.value()?.into()),
                Arg::Long("primary") => options.primary.0 = Some(parser.value()?.string()?),
                Arg::Long("primary-model") => options.primary.1 = Some(parser.value()?.string()?),
                Arg::Long("shadow") => options.shadow.0 = Some(parser.value()?.string()?),
                Arg::Long("shadow-model") => options.shadow.1 = Some(parser.value()?.string()?),
                Arg::Long("concurrency") => options.concurrency = parser.value()?.parse()?,
                Arg::Long("check") => options.check = true,
                Arg::Value(path) if options.dataset.as_os_str().is_empty() => {
                    options.dataset = path.into();
                }
                other => return Err(other.unexpected()),
            }
        }
        if options.dataset.as_os_str().is_empty() {
            return Err("a dataset is missing: see --help".into());
        }
        if options.concurrency == 0 {
            return Err("--concurrency: must be more than zero".into());
        }
        Ok(Some(options))
    }
}
