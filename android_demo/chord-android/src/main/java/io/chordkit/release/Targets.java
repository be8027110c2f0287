package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;

/** What a channel offers now, trusted: its releases, the differences between bundles, and what is killed. */
public final class Targets {
  private static final String OURS = "chordkit";

  private static final int MOST_KILLED = 1000;

  private final long version;
  private final List<Release> releases = new ArrayList<Release>();
  private final List<Difference> differences = new ArrayList<Difference>();
  private final List<Killed> killed = new ArrayList<Killed>();

  Targets(SignedFile file) throws ReleaseException {
    version = file.version;
    if (file.fields.has("delegations")) {
      throw file.fields.problem("delegations", "a field of a channel");
    }
    Fields all = file.fields.object("targets");
    for (String name : all.names()) {
      Fields target = all.object(name);
      add(new TargetFile(name, target), target);
    }
    Fields ours = file.fields.has(OURS) ? file.fields.object(OURS) : Fields.NONE;
    for (Fields each : ours.has("killed") ? ours.objects("killed") : new Fields[0]) {
      killed.add(Killed.parse(each));
    }
    if (killed.size() > MOST_KILLED) {
      throw file.fields.problem(OURS, "a list of at most " + MOST_KILLED);
    }
  }

  private void add(TargetFile file, Fields target) throws ReleaseException {
    Release release;
    try {
      Fields ours = target.object("custom").object(OURS);
      if (ours.has("difference")) {
        differences.add(new Difference(ours, file));
        return;
      }
      release = new Release(ours, file);
    } catch (ReleaseException.Malformed unknown) {
      return; // somebody else's, or of a later version of this library's
    }
    for (Release other : releases) {
      if (other.number() == release.number()) {
        throw target.problem("custom", "a release with a number of its own");
      }
    }
    releases.add(release);
  }

  public long version() {
    return version;
  }

  /** All of them, for whichever phone. */
  public List<Release> releases() {
    return Collections.unmodifiableList(releases);
  }

  public List<Difference> differences() {
    return Collections.unmodifiableList(differences);
  }

  public List<Killed> killed() {
    return Collections.unmodifiableList(killed);
  }

  /**
   * The release with the highest number of those that are for this phone.
   *
   * @param installId what the phone chose once; it decides about stages
   * @param above the number of the release that it has; 0 = none
   * @param failed numbers of releases that it tried and cannot run
   * @return null = there is nothing newer
   */
  @Nullable
  public Release choose(PhoneFacts phone, byte[] installId, long above, Collection<Long> failed) {
    Release best = null;
    for (Release each : releases) {
      boolean higher = each.number() > (best == null ? above : best.number());
      if (higher && !failed.contains(each.number()) && each.isFor(phone, installId)) {
        best = each;
      }
    }
    return best;
  }

  /** The differences that make a release's bundle, of whichever base. */
  public List<Difference> differencesTo(Release release) {
    List<Difference> found = new ArrayList<Difference>();
    for (Difference each : differences) {
      if (each.result().equals(release.file().sha256())) {
        found.add(each);
      }
    }
    return found;
  }
}
