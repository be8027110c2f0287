/** The app's screens: what {@link io.chordkit.demo.logic} computes, in the words and colours of {@code res}. */
@NonNullByDefault
package io.chordkit.demo;

import io.chordkit.annotation.NonNullByDefault;
