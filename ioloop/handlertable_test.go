package ioloop

import (
	"math"
	"slices"
	"testing"

	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// namedHandler can be told from others.
type namedHandler string

func (namedHandler) HandleEvent(poller.Interest, poller.Hint) {}

// A generation is never 0, which names no handler, and a token finds nothing but its own
// handler.
func TestHandlerTableFinds(t *testing.T) {
	table := handlerTable{generation: math.MaxUint32 - 1}
	last := table.add(5, 0, namedHandler("last"))
	first := table.add(6, 0, namedHandler("first"))
	require.Equal(t, uint32(math.MaxUint32), last.generation)
	require.EqualValues(t, 1, first.generation)
	require.Equal(t, namedHandler("last"), table.find(last.token()).handler)
	require.Equal(t, namedHandler("first"), table.find(first.token()).handler)
	for _, wrong := range []Registration{
		{}, {slot: last.slot, generation: first.generation}, {slot: first.slot},
		{slot: 2, generation: 1}, {slot: -1, generation: 1}, {slot: math.MaxInt32, generation: 1},
	} {
		require.Nil(t, table.find(wrong.token()), "%+v", wrong)
	}
	table.remove(last)
	require.Nil(t, table.find(last.token()))
	again := table.add(7, 0, namedHandler("again"))
	require.Equal(t, last.slot, again.slot)
	require.Nil(t, table.find(last.token()))
	require.EqualValues(t, 2, table.live.Load())
}

func TestHandlerTableLists(t *testing.T) {
	var table handlerTable
	table.add(1, 0, namedHandler("a"))
	b := table.add(2, 0, namedHandler("b"))
	table.add(3, 0, namedHandler("c"))
	table.remove(b)
	require.Equal(t, []Handler{namedHandler("a"), namedHandler("c")}, slices.Collect(table.all))
	for h := range table.all {
		require.Equal(t, namedHandler("a"), h)
		break
	}
	require.Empty(t, slices.Collect(new(handlerTable).all))
}
