/** What needs Android itself; everything else runs on a plain JVM as well. */
@NonNullByDefault
package io.chordkit.android;

import io.chordkit.annotation.NonNullByDefault;
