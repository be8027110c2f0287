package io.chordkit.demo.logic;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The same candidates in two orders: the user's own, and everybody's. */
public final class Comparison {
  /** In the user's own order; their rise is against everybody's. */
  public final List<RankedItem> personal;

  /** In everybody's order; their rise is against the user's own. */
  public final List<RankedItem> shared;

  /** Candidates whose place differs. */
  public final int moved;

  /**
   * @param personal ids, best first
   * @param shared the same ids in another order
   * @param taken what the user really took next
   */
  public Comparison(List<String> personal, List<String> shared, String taken) {
    this.personal = ranked(personal, shared, taken);
    this.shared = ranked(shared, personal, taken);
    int moved = 0;
    for (RankedItem item : this.personal) {
      moved += item.rise() == 0 ? 0 : 1;
    }
    this.moved = moved;
  }

  /** Where in the user's own list stands what they really took, from 1 on; 0 = it is no candidate. */
  public int takenPersonal() {
    return takenIn(personal);
  }

  /** Where in everybody's list it stands. */
  public int takenShared() {
    return takenIn(shared);
  }

  private static int takenIn(List<RankedItem> list) {
    for (RankedItem item : list) {
      if (item.taken) {
        return item.rank;
      }
    }
    return 0;
  }

  private static List<RankedItem> ranked(List<String> ids, List<String> others, String taken) {
    Map<String, Integer> places = new HashMap<String, Integer>();
    for (int i = 0; i < others.size(); i++) {
      places.put(others.get(i), i + 1);
    }
    List<RankedItem> all = new ArrayList<RankedItem>();
    for (int i = 0; i < ids.size(); i++) {
      Integer other = places.remove(ids.get(i));
      if (other == null) {
        throw new IllegalArgumentException("the two lists differ in more than their order: " + ids.get(i));
      }
      all.add(new RankedItem(ids.get(i), i + 1, other, ids.get(i).equals(taken)));
    }
    return Collections.unmodifiableList(all);
  }
}
