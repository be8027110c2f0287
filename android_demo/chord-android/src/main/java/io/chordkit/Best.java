package io.chordkit;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;

/** The best of the items that come by, best first; of two that score the same the one that came first. */
final class Best {
  private final int[] items;
  private final float[] scores;
  private int count;

  Best(int most) {
    items = new int[most];
    scores = new float[most];
  }

  void add(int item, float score) {
    if (count == items.length && !(score > scores[count - 1])) {
      return;
    }
    int place = count < items.length ? count++ : count - 1;
    for (; place > 0 && score > scores[place - 1]; place--) {
      items[place] = items[place - 1];
      scores[place] = scores[place - 1];
    }
    items[place] = item;
    scores[place] = score;
  }

  /** Best first. */
  int[] items() {
    return Arrays.copyOf(items, count);
  }

  /** From the positions of the buffers on, which stay; gives how many. */
  int copyTo(IntBuffer itemsRoom, FloatBuffer scoresRoom) {
    itemsRoom.duplicate().put(items, 0, count);
    scoresRoom.duplicate().put(scores, 0, count);
    return count;
  }
}
