package io.chordkit.trust;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** A bundle that was accepted; its members are views of the buffer that it was opened from. */
public final class VerifiedBundle {
  // Of ZIP: how long a local header is, and where in it three lengths are.
  private static final int LOCAL_HEADER = 30;
  private static final int MEMBER_BYTES = 22;
  private static final int NAME_BYTES = 26;
  private static final int EXTRA_BYTES = 28;

  private final ByteBuffer data;
  private final int formatVersion;
  private final long counter;
  private final byte[] ids;
  private final Map<String, long[]> places = new LinkedHashMap<String, long[]>();

  VerifiedBundle(ByteBuffer data, int formatVersion, long counter, byte[] ids, String[] names, long[] places) {
    this.data = data;
    this.formatVersion = formatVersion;
    this.counter = counter;
    this.ids = ids;
    for (int i = 0; i < names.length; i++) {
      this.places.put(names[i], new long[] {places[2 * i], places[2 * i + 1]});
    }
  }

  public int formatVersion() {
    return formatVersion;
  }

  /** To be kept, and given as the lowest that is accepted from then on. */
  public long counter() {
    return counter;
  }

  /** The 8 bytes that every strategy for this backbone carries. */
  public byte[] fingerprint() {
    return Arrays.copyOf(ids, 8);
  }

  /** Identifier of the key that signed, 8 bytes. */
  public byte[] keyId() {
    return Arrays.copyOfRange(ids, 8, 16);
  }

  /** Names of the members in the order of the file, without the manifest and its signature. */
  public Set<String> members() {
    return Collections.unmodifiableSet(places.keySet());
  }

  /** A read-only view of a member, or null where there is none of this name. */
  @Nullable
  public ByteBuffer member(String name) {
    long[] place = places.get(name);
    return place == null ? null : view((int) place[0], (int) place[1]);
  }

  /** A read-only view of {@code manifest.json}, which is what was signed. */
  public ByteBuffer manifest() {
    // Always the first member; its local header is checked byte by byte, so that it needs no looking at here (docs/bundle.md).
    ByteBuffer header = data.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    return view(LOCAL_HEADER + header.getShort(NAME_BYTES) + header.getShort(EXTRA_BYTES), header.getInt(MEMBER_BYTES));
  }

  /** A read-only view of the whole file. */
  public ByteBuffer file() {
    return view(0, data.limit());
  }

  private ByteBuffer view(int start, int bytes) {
    ByteBuffer view = data.asReadOnlyBuffer();
    view.limit(start + bytes);
    view.position(start);
    return view.slice();
  }
}
