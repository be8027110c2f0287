package io.chordkit.demo.logic;

import io.chordkit.Personalisation;
import io.chordkit.annotation.Nullable;

/** What a phone learned of a user from the user's own clicks, and what of it can be seen in the list. */
public final class Learned {
  /** The attempt that was made since the user was picked; null = none was. */
  @Nullable public final Personalisation last;

  /** Whether something that was learned is in use: now, or from an earlier start of the app. */
  public final boolean inUse;

  /** The user's own list with what was learned (personal) and without (shared): the same where nothing is in use. */
  public final Comparison change;

  Learned(@Nullable Personalisation last, boolean inUse, Comparison change) {
    this.last = last;
    this.inUse = inUse;
    this.change = change;
  }
}
