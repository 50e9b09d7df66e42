mod choosing;
mod escalating;
mod golden;
