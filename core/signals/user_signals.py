"""What happens to a user's account. `sender` is the user model."""

from core.events import EventSignal

# Provides: user_id (str); whatever else describes the registration.
user_registered = EventSignal("user.registered", sensitive={"email", "phone"})

# Provides: user_id (str), method (str, such as "password").
user_logged_in = EventSignal("user.logged_in", sensitive={"ip"})

# Provides: user_id (str), changes ({field: [old, new]}).
user_profile_updated = EventSignal("user.profile_updated", sensitive={"changes"})
