/** What the app computes and says, without Android: it runs, and is tested, on any Java. */
@NonNullByDefault
package io.chordkit.demo.logic;

import io.chordkit.annotation.NonNullByDefault;
