use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;

use super::{
    Index, NewValue,
    index::{Member, Splice},
    value::name_is,
};

/// Changes to the top-level members of one JSON object, applied in one copy of the text.
///
/// Whatever is not named stays byte-identical, whitespace included.
pub struct Edit<'a> {
    text: &'a [u8],
    index: &'a Index,
    /// The one value that was replaced, as long as nothing else was asked for: most edits are that.
    value: Option<(usize, Cow<'a, [u8]>)>,
    /// All members, once more than that is asked for.
    list: Option<List<'a>>,
    changed: bool,
}

/// The object as it will be, piece by piece.
struct List<'a> {
    /// The text up to the first member.
    head: &'a [u8],
    slots: Vec<Slot<'a>>,
    /// The text after the last member.
    tail: &'a [u8],
    open: usize,
}

/// What becomes of an index when its text was edited. Made apart from the text, as few read an edited text again, and an index that
/// nobody else holds can be put right where it is.
pub(crate) enum Reindex {
    Same,
    Shifted(Splice),
    Made(Index),
}

impl Reindex {
    /// The new index, given the old one.
    pub(crate) fn of(self, index: &Index) -> Index {
        match self {
            Self::Made(made) => made,
            change => {
                let mut index = index.clone();
                change.apply(&mut index);
                index
            }
        }
    }

    /// Makes the old index the new one.
    pub(crate) fn apply(self, index: &mut Index) {
        match self {
            Self::Same => {}
            Self::Shifted(splice) => index.shift(splice),
            Self::Made(made) => *index = made,
        }
    }
}

/// One member of the result, in the order of writing.
struct Slot<'a> {
    /// The comma before it with the whitespace around, as far as a member precedes.
    comma: &'a [u8],
    name: Cow<'a, [u8]>,
    /// The colon with the whitespace around.
    colon: &'a [u8],
    value: Cow<'a, [u8]>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(text: &'a [u8], index: &'a Index) -> Self {
        Self {
            text,
            index,
            value: None,
            list: None,
            changed: false,
        }
    }

    /// Whether the result will differ from the text that was there, so that an edit that changed nothing need not
    /// be finished.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Whether there is a member with this name, after the changes so far.
    pub fn contains(&self, name: &str) -> bool {
        match &self.list {
            Some(list) => list.position(name).is_some(),
            None => self.index.position(self.text, name).is_some(),
        }
    }

    /// Sets a member: its value is replaced where it stands, or the member is added at the end of the object.
    ///
    /// An edit may go beyond [`MAX_MEMBERS`](super::MAX_MEMBERS), as it is ours and not the caller's; parsing its result then fails.
    pub fn set(&mut self, name: &str, value: impl Into<NewValue<'a>>) -> &mut Self {
        let NewValue { raw: value } = value.into();
        if self.list.is_none()
            && self.value.is_none()
            && let Some(member) = self.index.position(self.text, name)
        {
            if self.index.value(self.text, member) != &*value {
                self.value = Some((member, value));
                self.changed = true;
            }
            return self;
        }
        self.changed |= self.list().set(name, value);
        self
    }

    /// Gives a member another name where it stands and keeps its value; whether there was such a member.
    ///
    /// # Errors
    ///
    /// When a member of the new name is there already. Nothing is changed then: the caller decides which of the two
    /// counts and [removes](Self::remove) the other.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<bool, MemberExists> {
        if old == new || !self.contains(old) {
            return Ok(self.contains(old));
        }
        if self.contains(new) {
            return Err(MemberExists { name: new.into() });
        }
        if let Some(slot) = self.list().slot(old) {
            slot.name = NewValue::from(new).raw;
            self.changed = true;
        }
        Ok(true)
    }

    /// Removes a member together with one comma; whether there was such a member.
    pub fn remove(&mut self, name: &str) -> bool {
        let removed = self.contains(name) && self.list().remove(name);
        self.changed |= removed;
        removed
    }

    /// The new text and its index, which is shifted from the old one and equals what parsing would give.
    pub fn finish(self) -> (Bytes, Index) {
        let index = self.index;
        let (text, reindex) = self.write();
        (text.into(), reindex.of(index))
    }

    /// The new text alone, for those who do not read on.
    pub fn into_text(self) -> Bytes {
        self.write().0.into()
    }

    /// The new text, and what becomes of the index.
    pub(crate) fn write(self) -> (Vec<u8>, Reindex) {
        match (self.list, self.value) {
            (Some(list), _) => {
                let (text, index) = list.write();
                (text, Reindex::Made(index))
            }
            (None, Some((member, value))) => {
                let splice = Splice {
                    member,
                    length: value.len(),
                };
                let text = self.index.splice(self.text, member, &value);
                (text, Reindex::Shifted(splice))
            }
            (None, None) => (self.text.to_vec(), Reindex::Same),
        }
    }

    /// The list of all members, with what was changed so far.
    fn list(&mut self) -> &mut List<'a> {
        self.list.get_or_insert_with(|| {
            let mut list = List::new(self.text, self.index);
            if let Some((member, value)) = self.value.take()
                && let Some(slot) = list.slots.get_mut(member)
            {
                slot.value = value;
            }
            list
        })
    }
}

impl<'a> List<'a> {
    fn new(text: &'a [u8], index: &Index) -> Self {
        let slice = |range: Range<usize>| text.get(range).unwrap_or_default();
        let inside = index.open.saturating_add(1);
        let mut end = index
            .members
            .first()
            .map_or(inside, |first| first.name.start);
        let head = slice(0..end);

        // Room for one more, as most edits replace, and some add one member.
        let mut slots = Vec::with_capacity(index.members.len() + 1);
        for Member { name, value } in &index.members {
            slots.push(Slot {
                comma: slice(end..name.start),
                name: slice(name.clone()).into(),
                colon: slice(name.end..value.start),
                value: slice(value.clone()).into(),
            });
            end = value.end;
        }
        Self {
            head,
            slots,
            tail: slice(end..text.len()),
            open: index.open,
        }
    }

    /// Whether anything changed.
    fn set(&mut self, name: &str, value: Cow<'a, [u8]>) -> bool {
        match self.slot(name) {
            Some(slot) if slot.value == value => return false,
            Some(slot) => slot.value = value,
            None => self.slots.push(Slot {
                comma: b",",
                name: NewValue::from(name).raw,
                colon: b":",
                value,
            }),
        }
        true
    }

    fn remove(&mut self, name: &str) -> bool {
        let position = self.position(name);
        position
            .map(|position| self.slots.remove(position))
            .is_some()
    }

    fn write(mut self) -> (Vec<u8>, Index) {
        if let Some(first) = self.slots.first_mut() {
            first.comma = b"";
        }
        let slots = self.slots.iter().map(Slot::len).sum::<usize>();
        let mut text = Vec::with_capacity(self.head.len() + slots + self.tail.len());
        let mut put = |bytes: &[u8]| {
            let start = text.len();
            text.extend_from_slice(bytes);
            start..text.len()
        };

        put(self.head);
        let write_slot = |slot: &Slot<'_>| {
            put(slot.comma);
            let name = put(&slot.name);
            put(slot.colon);
            Member {
                name,
                value: put(&slot.value),
            }
        };
        let members = self.slots.iter().map(write_slot).collect();
        put(self.tail);
        let index = Index::of(&text, self.open, members);
        (text, index)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| name_is(&slot.name, name))
    }

    fn slot(&mut self, name: &str) -> Option<&mut Slot<'a>> {
        self.slots.iter_mut().find(|slot| name_is(&slot.name, name))
    }
}

impl fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit")
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}

impl Slot<'_> {
    fn len(&self) -> usize {
        self.comma.len() + self.name.len() + self.colon.len() + self.value.len()
    }
}

/// A rename that would have made two members of one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a member named {name:?} is there already")]
pub struct MemberExists {
    /// The name asked for.
    pub name: String,
}
