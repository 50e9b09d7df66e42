use tower_layer::Layer;

use super::{Auth, Tenants};

/// Lets those in who present a tenant's key, for what the tenant may ask.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct AuthLayer {
    tenants: Tenants,
}

impl AuthLayer {
    /// Lets the keys of `tenants` in.
    pub fn new(tenants: Tenants) -> Self {
        Self { tenants }
    }

    /// The tenants, whose keys may change while requests flow.
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth::new(inner, self.tenants.clone())
    }
}
