package io.chordkit.demo;

import android.content.res.Resources;
import android.text.TextUtils;
import io.chordkit.Items;
import io.chordkit.Personalisation;
import io.chordkit.SelfCheck;
import io.chordkit.demo.logic.Comparison;
import io.chordkit.demo.logic.Latency;
import io.chordkit.demo.logic.LayerStrip;
import io.chordkit.demo.logic.Learned;
import io.chordkit.demo.logic.Lists;
import io.chordkit.demo.logic.Numbers;
import io.chordkit.demo.logic.RankedItem;
import io.chordkit.demo.logic.StrategyPicture;
import io.chordkit.demo.logic.Words;
import java.util.Locale;

/** Numbers and items in the words of {@code res}, for eyes and for ears. */
final class Texts {
  final Numbers numbers = new Numbers(Locale.getDefault());
  private final Resources resources;

  Texts(Resources resources) {
    this.resources = resources;
  }

  String of(int string, Object... arguments) {
    return resources.getString(string, arguments);
  }

  /** A plural whose number is written as the place does. */
  String counted(int plural, int count) {
    return resources.getQuantityString(plural, count, numbers.whole(count));
  }

  String microseconds(double value) {
    return of(R.string.microseconds, numbers.measure(value));
  }

  String microsecondsSaid(double value) {
    return of(R.string.microseconds_said, numbers.measure(value));
  }

  String percentiles(Latency latency) {
    return percentiles(R.string.percentiles, latency);
  }

  String percentilesSaid(Latency latency) {
    return percentiles(R.string.percentiles_said, latency);
  }

  String title(Words words, String id) {
    return words.title.isEmpty() ? of(R.string.item_without_title, id) : words.title;
  }

  String titleAndGroup(Items items, String id) {
    Words words = Words.of(items, id);
    return words.group.isEmpty() ? title(words, id) : of(R.string.item_in_group, title(words, id), words.group);
  }

  /** Where what was really taken stands, and how many items stand elsewhere. */
  String summary(Lists lists) {
    Comparison both = lists.comparison;
    String places =
        of(
            R.string.lists_summary,
            title(Words.of(lists.items, lists.user.taken), lists.user.taken),
            numbers.whole(both.takenPersonal()),
            numbers.whole(both.takenShared()));
    return of(R.string.sentences, places, both.moved == 0 ? of(R.string.nothing_moved) : counted(R.plurals.moved, both.moved));
  }

  /** The sentence about what was learned. */
  static int summary(Learned learned) {
    Personalisation last = learned.last;
    if (last == null) {
      return learned.inUse ? R.string.learned_before : R.string.learned_nothing;
    }
    if (last.adapter() != null) {
      return R.string.learned_adopted;
    }
    if (!last.hadEnough()) {
      return R.string.learned_too_little;
    }
    return learned.inUse ? R.string.learned_kept_before : R.string.learned_not_better;
  }

  /** Samples that there were, and how many of them were like the user's own. */
  String outside(Personalisation last) {
    return of(R.string.learned_outside_value, numbers.whole(last.outside()), numbers.whole(last.kept()));
  }

  /** By how much choices that were left out became more probable. */
  String gain(Personalisation last) {
    return of(R.string.learned_gain_value, numbers.percent(last.gain() - 1, 1), numbers.percent(last.leastGain() - 1, 1));
  }

  /** The place of what was really taken, without and with what was learned, and how many items stand elsewhere. */
  String places(Comparison change) {
    String places = of(R.string.learned_place_value, numbers.whole(change.takenShared()), numbers.whole(change.takenPersonal()));
    return of(R.string.sentences, places, change.moved == 0 ? of(R.string.nothing_moved) : counted(R.plurals.moved, change.moved));
  }

  String milliseconds(Personalisation last) {
    return of(R.string.milliseconds, numbers.measure(last.milliseconds()));
  }

  String millisecondsSaid(Personalisation last) {
    return of(R.string.milliseconds_said, numbers.measure(last.milliseconds()));
  }

  String rise(RankedItem item) {
    if (item.rise() == 0) {
      return of(R.string.rise_same);
    }
    return of(item.rise() > 0 ? R.string.rise_up : R.string.rise_down, numbers.whole(Math.abs(item.rise())));
  }

  /** All that a row says of a candidate. */
  String said(Items items, RankedItem item) {
    String place = of(R.string.fact_said, of(R.string.place_said, numbers.whole(item.rank)), titleAndGroup(items, item.id));
    String moved = of(R.string.same_place_said);
    if (item.rise() != 0) {
      moved = counted(item.rise() > 0 ? R.plurals.higher_said : R.plurals.lower_said, Math.abs(item.rise()));
    }
    String said = of(R.string.said_and_said, place, moved);
    return item.taken ? of(R.string.said_and_said, said, of(R.string.taken_mark)) : said;
  }

  /** What a width is called. */
  String width(int bits) {
    String[] words = resources.getStringArray(R.array.widths);
    for (int i = 0; i < words.length; i++) {
      if (StrategyPicture.WIDTHS[i] == bits) {
        return words[i];
      }
    }
    throw new IllegalArgumentException(bits + " bits");
  }

  String share(int bits, double share) {
    return of(R.string.share_of_width, width(bits), numbers.percent(share));
  }

  /** A layer's shares, those that are none left out. */
  String said(LayerStrip layer) {
    String shares = "";
    for (int bits : StrategyPicture.WIDTHS) {
      if (layer.share(bits) > 0) {
        String share = share(bits, layer.share(bits));
        shares = shares.isEmpty() ? share : of(R.string.one_and_one, shares, share);
      }
    }
    return of(R.string.fact_said, layer.name, shares);
  }

  /** What a self-check found of one reference, or all that is wrong with it. */
  String checked(SelfCheck.Result result) {
    if (!result.reasons().isEmpty()) {
      return TextUtils.join("; ", result.reasons());
    }
    return of(
        R.string.check_result,
        counted(R.plurals.histories, result.histories()),
        numbers.decimal(result.relativeRmsError(), 4),
        numbers.percent(result.topOverlap()));
  }

  String thermal(int status) {
    String[] words = resources.getStringArray(R.array.thermal_statuses);
    return status >= 0 && status < words.length ? words[status] : of(R.string.unknown);
  }

  private String percentiles(int string, Latency latency) {
    Object[] numbers = {measure(latency, 50), measure(latency, 90), measure(latency, 99)};
    return of(string, numbers);
  }

  private String measure(Latency latency, double percent) {
    return numbers.measure(latency.percentile(percent));
  }
}
