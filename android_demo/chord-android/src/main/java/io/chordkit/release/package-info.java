/** Which bundle is current, by the word of a release channel (docs/release.md): four signed files, verified; and who may have it. */
@NonNullByDefault
package io.chordkit.release;

import io.chordkit.annotation.NonNullByDefault;
