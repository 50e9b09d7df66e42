use std::{borrow::Cow, collections::HashSet, fmt, ops::Range};

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    Cursor, Edit, JsonError, JsonErrorKind, Value,
    value::{name_is, unescape},
};

/// The most top-level members an object may have, which bounds an index at 16 KiB.
///
/// Far above the few dozen that any LLM API documents; a limit on what a look-up can be made to cost.
pub const MAX_MEMBERS: usize = 512;

/// Up to this many plain names are compared pairwise, which costs less than the allocation of a set.
const FEW_MEMBERS: usize = 16;

/// Where the top-level members of one JSON object lie in its text. Owns no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The offset of the opening brace.
    pub(super) open: usize,
    pub(super) members: Vec<Member>,
    /// A name of them has escapes, so that names cannot be compared as they stand.
    pub(super) escaped: bool,
}

/// One member: its name with the quotes, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// One value that was replaced: which member's, and how long it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Splice {
    pub(super) member: usize,
    pub(super) length: usize,
}

impl Index {
    /// Validates `text` and finds its members.
    ///
    /// Time is linear in the text; memory is one list of members, and a byte per nesting level while parsing.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, is not an object, names a top-level member twice, or has more than
    /// [`MAX_MEMBERS`] of them.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let index = match Self::scan(text) {
            Some(index) => index,
            None => Self::explain(text)?,
        };
        index.members(text).check_names()?;
        Ok(index)
    }

    /// The members of what is one JSON object without a doubt; `None` for anything else.
    fn scan(text: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(text)?;
        cursor.peek()?;
        let open = cursor.position();
        let mut members = Vec::with_capacity(FEW_MEMBERS);
        let mut escaped = false;
        cursor.spans(|name, has_escapes, value| {
            members.push(Member { name, value });
            escaped |= has_escapes;
            (members.len() <= MAX_MEMBERS).then_some(())
        })?;
        cursor.is_at_end().then_some(Self {
            open,
            members,
            escaped,
        })
    }

    /// The same by serde_json, which says what is wrong and where, and follows any nesting.
    fn explain(text: &[u8]) -> Result<Self, JsonError> {
        let json = std::str::from_utf8(text)
            .map_err(|error| JsonError::malformed(text, error.valid_up_to(), "invalid UTF-8"))?;
        let open = json
            .bytes()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        if text.get(open) != Some(&b'{') {
            return Err(match serde_json::from_str::<IgnoredAny>(json) {
                Ok(_) => JsonError::at(text, open, JsonErrorKind::NotAnObject),
                Err(error) => JsonError::from_serde(text, &error),
            });
        }

        let mut members = Vec::with_capacity(FEW_MEMBERS);
        let mut reader = serde_json::Deserializer::from_str(json);
        let outcome = reader
            .deserialize_map(Scan {
                json,
                members: &mut members,
            })
            .and_then(|()| reader.end());
        if let Some(excess) = members.get(MAX_MEMBERS) {
            return Err(JsonError::at(
                text,
                excess.name.start,
                JsonErrorKind::TooManyMembers,
            ));
        }
        outcome.map_err(|error| JsonError::from_serde(text, &error))?;
        Ok(Self::of(text, open, members))
    }

    /// The index of `text` by its `members`.
    pub(super) fn of(text: &[u8], open: usize, members: Vec<Member>) -> Self {
        let has_escapes = |member: &Member| {
            let name = text.get(member.name.clone());
            name.is_some_and(|name| name.contains(&b'\\'))
        };
        Self {
            open,
            escaped: members.iter().any(has_escapes),
            members,
        }
    }

    /// The members, read from the text this index was made of.
    ///
    /// With any other text the answers are meaningless; there is no panic.
    pub fn members<'a>(&'a self, text: &'a [u8]) -> Members<'a> {
        Members { text, index: self }
    }
}

impl Index {
    pub(super) fn position(&self, text: &[u8], name: &str) -> Option<usize> {
        let is_named = |member: &Member| {
            if self.escaped {
                let raw = text.get(member.name.clone());
                return raw.is_some_and(|raw| name_is(raw, name));
            }
            member.name.len() == name.len() + 2
                && text.get(member.name.start + 1..member.name.end - 1) == Some(name.as_bytes())
        };
        self.members.iter().position(is_named)
    }

    pub(super) fn value<'a>(&self, text: &'a [u8], member: usize) -> &'a [u8] {
        let range = self.members.get(member).map(|member| member.value.clone());
        range.and_then(|range| text.get(range)).unwrap_or_default()
    }

    /// The text with the value of one member replaced.
    pub(super) fn splice(&self, text: &[u8], member: usize, value: &[u8]) -> Vec<u8> {
        let Some(old) = self.members.get(member).map(|member| member.value.clone()) else {
            return text.to_vec();
        };
        let mut spliced = Vec::with_capacity((text.len() + value.len()).saturating_sub(old.len()));
        spliced.extend_from_slice(text.get(..old.start).unwrap_or_default());
        spliced.extend_from_slice(value);
        spliced.extend_from_slice(text.get(old.end..).unwrap_or_default());
        spliced
    }

    /// The index of a text in which one value was replaced.
    pub(super) fn shift(&mut self, Splice { member, length }: Splice) {
        let mut rest = self.members.iter_mut().skip(member);
        let Some(edited) = rest.next() else {
            return;
        };
        let old = edited.value.clone();
        let shift = |at: usize| at + length - old.len();
        edited.value.end = shift(old.end);
        for Member { name, value } in rest {
            *name = shift(name.start)..shift(name.end);
            *value = shift(value.start)..shift(value.end);
        }
    }
}

struct Scan<'s, 'de> {
    json: &'de str,
    members: &'s mut Vec<Member>,
}

impl<'de> Visitor<'de> for Scan<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let start = self.json.as_ptr().addr();
        let range = |raw: &RawValue| {
            let from = raw.get().as_ptr().addr() - start;
            from..from + raw.get().len()
        };
        while let Some(name) = map.next_key::<&RawValue>()? {
            let name = range(name);
            if self.members.len() == MAX_MEMBERS {
                self.members.push(Member { name, value: 0..0 });
                return Err(A::Error::custom("too many members"));
            }
            let value = range(map.next_value()?);
            self.members.push(Member { name, value });
        }
        Ok(())
    }
}

/// The members of one JSON object: its text and its [`Index`] put together.
#[derive(Clone, Copy)]
pub struct Members<'a> {
    text: &'a [u8],
    index: &'a Index,
}

impl<'a> Members<'a> {
    /// The value of the member with this name, however the name is escaped in the text.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        let member = self.index.position(self.text, name)?;
        Some(Value::new(self.index.value(self.text, member)))
    }

    /// Whether there is a member with this name, be it `null`.
    pub fn contains(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// How many members there are.
    pub fn len(self) -> usize {
        self.index.members.len()
    }

    /// Whether the object is `{}`.
    pub fn is_empty(self) -> bool {
        self.index.members.is_empty()
    }

    /// The members in the order of the text, with their names unescaped.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (Cow<'a, str>, Value<'a>)> {
        self.index.members.iter().map(move |member| {
            let name = unescape(self.slice(&member.name)).unwrap_or_default();
            (name, Value::new(self.slice(&member.value)))
        })
    }

    /// Begins an edit of the object.
    pub fn edit(self) -> Edit<'a> {
        Edit::new(self.text, self.index)
    }

    fn slice(self, range: &Range<usize>) -> &'a [u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// Whether no name is there twice.
    fn check_names(self) -> Result<(), JsonError> {
        let members = &self.index.members;
        if members.len() <= FEW_MEMBERS && !self.index.escaped {
            let same = |one: &Range<usize>, other: &Range<usize>| {
                one.len() == other.len() && self.slice(one) == self.slice(other)
            };
            let twice = members.iter().enumerate().find(|(at, member)| {
                let mut earlier = members.iter().take(*at);
                earlier.any(|earlier| same(&earlier.name, &member.name))
            });
            return match twice {
                Some((_, member)) => Err(self.duplicate(member)),
                None => Ok(()),
            };
        }

        let mut seen = HashSet::with_capacity(members.len());
        for member in members {
            let name = unescape(self.slice(&member.name)).ok_or_else(|| {
                JsonError::malformed(
                    self.text,
                    member.name.start,
                    "lone surrogate in a member name",
                )
            })?;
            if !seen.insert(name) {
                return Err(self.duplicate(member));
            }
        }
        Ok(())
    }

    fn duplicate(self, member: &Member) -> JsonError {
        let name = unescape(self.slice(&member.name)).unwrap_or_default();
        JsonError::duplicate(self.text, member.name.start, &name)
    }
}

impl fmt::Debug for Members<'_> {
    /// Names only: values are the caller's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}
