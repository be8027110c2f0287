/** Who made a bundle or a strategy, is it whole, and is it not an older one? (docs/trust.md) */
@NonNullByDefault
package io.chordkit.trust;

import io.chordkit.annotation.NonNullByDefault;
