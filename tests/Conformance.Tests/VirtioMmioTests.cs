using MicroVm.Bus;

namespace MicroVm.Conformance.Tests;

/// <summary>What virtio over MMIO must do beyond its single registers (Virtio 1.2, 4.2.2).</summary>
public sealed class VirtioMmioTests
{
    private readonly Subject _s = Subjects.Make("VirtioMmio");

    [Fact]
    public void Acknowledge_clears_the_configuration_bit_and_keeps_the_other()
    {
        RegisterInfo status = _s.Register("InterruptStatus");
        _s.Force(status, 3);
        Assert.Equal(IoStatus.Ok, _s.Write(_s.Register("InterruptAck"), 3));
        Assert.Equal(1u, _s.Page!.Load<uint>(status.Offset));
    }

    [Fact]
    public void Queue_that_does_not_exist_reads_zero_and_takes_nothing()
    {
        Assert.Equal(IoStatus.Ok, _s.Write(_s.Register("QueueSel"), 2));
        _s.Force(_s.Register("Status"), 0xb);
        Assert.Equal(IoStatus.Ok, _s.Read(_s.Register("QueueNumMax"), out ulong maximum));
        Assert.Equal(0ul, maximum);
        Assert.Equal(IoStatus.NoSuchIndex, _s.Write(_s.Register("QueueNum"), 8));
        Assert.Equal(0u, _s.Page!.Load<uint>(_s.Register("QueueNumMax").Offset));
    }

    [Fact]
    public void Halves_make_one_address_and_each_queue_has_its_own()
    {
        _s.Force(_s.Register("Status"), 0xb);
        RegisterInfo address = _s.Register("QueueDesc");
        Assert.Equal(IoStatus.Ok, _s.Write(address, 0x1122_3344_5566_7788));
        Assert.Equal(IoStatus.Ok, _s.Write(_s.Register("QueueSel"), 1));
        Assert.Equal(IoStatus.Ok, _s.Block.Write((uint)address.HighHalf, 4, 0xaabb_ccdd));
        byte[] state = _s.Save();
        Assert.Equal(0x1122_3344_5566_7788ul, Entry(state, address.Offset));
        Assert.Equal(0xaabb_ccdd_0000_0000ul, Entry(state, 1ul << 32 | address.Offset));
    }

    private static ulong Entry(byte[] state, ulong tag)
    {
        for (int at = 0; at < state.Length;)
        {
            int length = BitConverter.ToInt32(state, at + 8);
            if (BitConverter.ToUInt64(state, at) == tag) return BitConverter.ToUInt64(state, at + 12);
            at += 12 + length;
        }
        throw new InvalidOperationException("no entry " + tag);
    }
}
