using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Machines;

/// <summary>What a guest reads of its processor.</summary>
public sealed class CpuidTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Virtualization_is_hidden_unless_it_is_asked_for_also_from_vCPUs_that_come_later(bool nested)
    {
        Span<KvmAbi.CpuidEntry> entries = new KvmAbi.CpuidEntry[CpuidTable.MaxEntries];
        entries[0] = new() { Function = 1, Ecx = uint.MaxValue };
        entries[1] = new() { Function = 0x8000_0001, Ecx = uint.MaxValue };
        entries[2] = new() { Function = 0x8000_000a, Eax = 1, Ebx = 8, Edx = uint.MaxValue };
        CpuidTable table = new(entries, 3, 2, tscDeadline: false, nested);
        Check(table.For(0));
        Check(table.Keep(wanted: true).Table().For(1));

        void Check(ReadOnlySpan<KvmAbi.CpuidEntry> leaves)
        {
            Assert.Equal(nested, (Leaf(leaves, 1).Ecx & 1 << 5) != 0);
            Assert.Equal(nested, (Leaf(leaves, 0x8000_0001).Ecx & 1 << 2) != 0);
            Assert.Equal(nested ? 8u : 0, Leaf(leaves, 0x8000_000a).Ebx);
            // And nothing beside it.
            Assert.Equal(nested ? uint.MaxValue : ~(1u << 2), Leaf(leaves, 0x8000_0001).Ecx);
        }
    }

    private static KvmAbi.CpuidEntry Leaf(ReadOnlySpan<KvmAbi.CpuidEntry> leaves, uint function)
    {
        foreach (KvmAbi.CpuidEntry leaf in leaves)
        {
            if (leaf.Function == function) return leaf;
        }
        throw new InvalidOperationException($"no leaf 0x{function:x}");
    }
}
