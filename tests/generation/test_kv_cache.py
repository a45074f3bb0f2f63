"""The cache written in place holds what transformers' own holds; prompts that begin alike are found."""

from __future__ import annotations

import torch
from conftest import gpt2, llama
from torch.testing import assert_close
from transformers import Gemma2Config, MambaConfig
from transformers.cache_utils import DynamicLayer

from seal_agent.generation.kv_cache import GROWTH, GrowingLayer, bytes_per_position, keeps_all_positions, new_cache
from seal_agent.generation.prefixes import SharedPrefixes, group_by_prefix


def test_the_buffer_holds_what_concatenation_holds_while_rows_leave() -> None:
    ours, theirs, rows = GrowingLayer(), DynamicLayer(), 5
    for step, length in enumerate([7, 1, 1, GROWTH, 1, 3 * GROWTH, *[1] * (GROWTH + 2)]):
        keys, values = torch.randn(rows, 2, length, 4), torch.randn(rows, 2, length, 6)
        for left, right in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            assert_close(left, right, rtol=0, atol=0)
        assert ours.get_seq_length() == theirs.get_seq_length()
        if step in (1, 4, 5):
            keep = torch.tensor([i for i in range(rows) if i != 1])
            ours.batch_select_indices(keep)
            theirs.batch_select_indices(keep)
            rows -= 1
        if step == 8:
            ours.crop(-2)
            theirs.crop(-2)


def test_a_step_within_the_room_writes_in_place() -> None:
    layer, one = GrowingLayer(), torch.randn(1, 1, 1, 4)
    first, _ = layer.update(one, one)
    again, _ = layer.update(one, one)
    assert again.data_ptr() == first.data_ptr()


def test_no_layer_keeps_what_it_held_before_rows_were_chosen() -> None:
    ours, theirs = GrowingLayer(), DynamicLayer()
    states = torch.randn(3, 2, 5, 4)
    for layer in (ours, theirs):
        layer.update(states, states)
        layer.reorder_cache(torch.tensor([2, 0, 0, 1]))
    assert ours._buffers is None
    more = torch.randn(4, 2, 1, 4)
    for left, right in zip(ours.update(more, more), theirs.update(more, more), strict=True):
        assert_close(left, right, rtol=0, atol=0)


def test_the_size_of_a_position_is_that_of_the_keys_and_values_it_fills() -> None:
    for model in (llama(), gpt2()):
        cache = new_cache(model.config)
        model(torch.tensor([[1, 2, 3]]), past_key_values=cache, use_cache=True)
        kept = sum(states[:, :, :3].nbytes for layer in cache.layers for states in (layer.keys, layer.values))
        assert bytes_per_position(model.config, torch.float32) == kept / 3
    assert bytes_per_position(MambaConfig(), torch.float32) == 0


def test_layers_with_a_window_keep_their_own_cache() -> None:
    assert keeps_all_positions(new_cache(llama().config))
    assert keeps_all_positions(new_cache(gpt2().config))
    assert not keeps_all_positions(new_cache(Gemma2Config(num_hidden_layers=2)))


def test_rows_are_grouped_by_adapter_and_beginning() -> None:
    long = list(range(40))
    rows = [(1, [*long, 50]), (2, [*long, 50]), (1, [*long, 51, 52]), (2, [*long, 50]), (1, [*long, 50])]
    found = group_by_prefix(rows)
    assert found is not None
    assert found.group_of_row[0] == found.group_of_row[2] == found.group_of_row[4]
    assert found.group_of_row[1] == found.group_of_row[3] != found.group_of_row[0]
    assert set(found.length_of_group) == {40}


def test_a_repeated_prompt_keeps_its_last_token() -> None:
    assert group_by_prefix([(None, [1, 2, 3, 4])] * 5) == SharedPrefixes((0,) * 5, (3,), (0,))


def test_sharing_that_saves_little_is_left() -> None:
    assert group_by_prefix([(None, [1, 2, 3, 4, 5, 6])]) is None
    assert group_by_prefix([(None, [1, 2, *range(20, 60)]), (None, [1, 2, *range(70, 110)])]) is None
    assert group_by_prefix([(None, [7]), (None, [7])]) is None
