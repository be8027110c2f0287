package io.chordkit.demo.logic;

import io.chordkit.Items;

/** What an item is called; "" where the bundle has no word. */
public final class Words {
  public final String title;
  public final String group;

  private Words(String title, String group) {
    this.title = title;
    this.group = group;
  }

  /** Those for the item of this id of the owner's; none where the catalogue does not have it. */
  public static Words of(Items items, String id) {
    int item = items.id(id);
    return item == 0 ? new Words("", "") : new Words(items.title(item), items.category(item));
  }
}
