//! The books of one layer become those of another.

use super::{Books, book::Book};
use crate::budget::calendar::Calendar;

impl Books {
    /// Where the book of a budget is that is renewed with this calendar.
    pub(in crate::budget) fn place_of(&self, name: &str, calendar: Calendar) -> Option<usize> {
        let is_of = |book: &Book| *book.name == *name && book.calendar == calendar;
        let mut books = self.books.iter();
        books.position(|book| book.as_ref().is_some_and(is_of))
    }

    /// Becomes the books of the budgets of `others`, and tells where each of these is: what is kept here already goes on, by its new
    /// limits if they were set differently, what is not is opened with what it has, and all else is closed.
    pub(in crate::budget) fn merge(&mut self, others: Self) -> Box<[usize]> {
        let mut places = Vec::new();
        let mut more = Vec::new();
        for (index, other) in others.books.into_iter().flatten().enumerate() {
            let place = self.place_of(&other.name, other.calendar);
            places.push(place.unwrap_or(usize::MAX));
            match place.and_then(|place| self.books.get_mut(place)?.as_mut()) {
                Some(book) => book.refit(other),
                None => more.push((index, other)),
            }
        }
        for (place, book) in self.books.iter_mut().enumerate() {
            if !places.contains(&place) {
                *book = None;
            }
        }
        for (index, book) in more {
            let place = self.open(book);
            if let Some(slot) = places.get_mut(index) {
                *slot = place;
            }
        }
        places.into()
    }
}

impl Book {
    /// Goes by the limits of `other`, where they were set differently.
    fn refit(&mut self, other: Self) {
        self.max_keys = other.max_keys;
        if self.set != other.set {
            (self.default, self.limits) = (other.default, other.limits);
            self.set = other.set;
        }
    }
}
