package io.chordkit.demo.logic;

import io.chordkit.Items;
import java.util.Collections;
import java.util.List;

/** One user's candidates in two orders, and the two strategies that made them. */
public final class Lists {
  public final DemoUser user;

  /** The bundle's: words for what is shown. */
  public final Items items;

  public final Comparison comparison;
  /** What the phone learned of the user, and what that moves; {@link #comparison} has it in the user's own list. */
  public final Learned learned;

  public final Adoption personal;
  public final Adoption shared;

  /** Kernels in use. */
  public final String variant;

  public final long bundleCounter;
  public final int channels;

  /** Sentences about what is not as it should be; usually none. */
  public final List<String> remarks;

  Lists(
      DemoUser user,
      Items items,
      Comparison comparison,
      Learned learned,
      Adoption personal,
      Adoption shared,
      String variant,
      long bundleCounter,
      int channels,
      List<String> remarks) {
    this.user = user;
    this.items = items;
    this.comparison = comparison;
    this.learned = learned;
    this.personal = personal;
    this.shared = shared;
    this.variant = variant;
    this.bundleCounter = bundleCounter;
    this.channels = channels;
    this.remarks = Collections.unmodifiableList(remarks);
  }
}
