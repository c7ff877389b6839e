using System.Reflection;

namespace MicroVm.Generators.Tests;

/// <summary>What emitted code does, for the words that no real block uses yet or that several words share.</summary>
public sealed class BehaviourTests
{
    private readonly Lazy<EmittedBlock> _small = new(static () => new EmittedBlock("small", "Small"));
    private readonly Lazy<EmittedBlock> _merging = new(static () => new EmittedBlock("merging", "Merging"));
    private readonly Lazy<EmittedBlock> _resident = new(static () => new EmittedBlock("resident", "Resident", [null]));

    [Fact]
    public void Partial_writes_keep_the_other_bytes()
    {
        EmittedBlock b = _merging.Value;
        Assert.Equal("Ok", b.Write(0x0, 4, 0x11223344));
        Assert.Equal("Ok", b.Write(0x1, 2, 0xaabb));
        Assert.Equal("Ok 0x11aabb44", b.Read(0x0, 4));
        Assert.Equal("Ok 0xaabb", b.Read(0x1, 2));
        Assert.Equal("Ok", b.Write(0xc, 4, 0x99887766));
        // The mask of Wide keeps its highest byte.
        Assert.Equal("Ok 0x88776600000000", b.Read(0x8, 8));
    }

    [Fact]
    public void An_access_may_cross_registers()
    {
        EmittedBlock b = _merging.Value;
        b.Write(0x0, 8, 0x0011_2233_4455_6677);
        // Plain; Fixed is read-only; Only is write-only and reads 0; Flags clears.
        Assert.Equal("Ok 0xbeef44556677", b.Read(0x0, 8));
        Assert.Equal((byte)0x11, b.Get("OnlyValue"));
        Assert.Equal("ReadOnly", b.Write(0x4, 2, 0));
        Assert.Equal("Ok 0xbeef", b.Read(0x4, 2));
        Assert.Equal("WriteOnly", b.Read(0x6, 1));
        Assert.Equal("Ok 0x0", b.Read(0x6, 2));
        Assert.Equal("NoRegister", b.Read(0x1d, 1));
        Assert.Equal("NoRegister", b.Read(0x1e, 4));
        Assert.Equal("BadWidth", b.Read(0x0, 3));
    }

    [Fact]
    public void Bits_that_nothing_raises_are_cleared_without_an_effect()
    {
        EmittedBlock b = _merging.Value;
        Assert.Equal("Ok", b.Write(0x8, 8, 0x1122_3344_5566_77));
        byte[] before = b.Save();
        Assert.Equal("Ok", b.Write(0x7, 1, 0xff));
        Assert.Equal("Ok 0x0", b.Read(0x7, 1));
        Assert.Equal(before, b.Save()); // the register that is declared next, too
    }

    [Fact]
    public void Arrays_of_bytes_are_bytes()
    {
        EmittedBlock b = _merging.Value;
        Assert.Equal("Ok", b.Write(0x12, 4, 0x04030201));
        Assert.Equal("Ok", b.Write(0x16, 2, 0x0605));
        Assert.Equal("Ok 0x5040302", b.Read(0x13, 4));
    }

    [Fact]
    public void Hidden_state_is_saved_with_the_registers()
    {
        byte[] state = _merging.Value.Save();
        Assert.Equal([0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], state[^13..]);
        _merging.Value.Load(state);
    }

    [Fact]
    public void Bank_is_chosen_by_its_selector()
    {
        EmittedBlock b = _small.Value;
        Assert.Equal("Ok", b.Write(0x4, 4, 5));
        b.Write(0x0, 1, 1);
        Assert.Equal("Ok 0x0", b.Read(0x4, 4));
        Assert.Equal("Ok 0x9", b.Read(0x18, 4));
        Assert.Equal("Ok", b.Write(0x8, 4, 0xdddd_dddd));
        Assert.Equal("Ok", b.Write(0xc, 4, 0xeeee_eeee));
        Assert.Equal("Ok 0xdddddddd", b.Read(0x8, 4));
        Assert.Equal("Ok 0xeeeeeeee", b.Read(0xc, 4));
        b.Write(0x0, 1, 2);
        Assert.Equal("Ok 0x0", b.Read(0x4, 4));
        Assert.Equal("NoSuchIndex", b.Write(0x4, 4, 1));
        b.Write(0x0, 1, 0);
        Assert.Equal("Ok 0x5", b.Read(0x4, 4));
    }

    [Fact]
    public void Guards_masks_and_refusals()
    {
        EmittedBlock b = _small.Value;
        Assert.Equal("Ok", b.Write(0x2, 2, 0xffff));
        Assert.Equal("Ok 0xfff", b.Read(0x2, 2));
        Assert.Equal("Ok", b.Write(0x1, 1, 0xff));
        Assert.Equal("Ok 0x73", b.Read(0x1, 1));
        Assert.Equal("WrongState", b.Write(0x2, 2, 0));
        Assert.Equal("Ok 0xfff", b.Read(0x2, 2));
        Assert.Equal("Refused", b.Write(0x10, 8, 101));
        Assert.Equal("Ok", b.Write(0x10, 8, 100));
        Assert.Equal("BadWidth", b.Read(0x10, 4));
        Assert.Equal("Ok", b.Write(0x80, 4, 0));
        b.Write(0x1, 1, 0);
        Assert.Equal("WrongState", b.Write(0x80, 4, 0));
        Assert.Equal("Ok 0x1c", b.Read(0x9c, 4));
        Assert.Equal("NoRegister", b.Read(0x9e, 4));
    }

    [Fact]
    public void Atomic_bits_are_raised_read_and_cleared()
    {
        EmittedBlock b = _small.Value;
        b.Call("Raise", 7u);
        // Only the two named bits of Raised exist.
        Assert.Equal("Ok 0x3", b.Read(0x20, 4));
        Assert.Equal("Ok", b.Write(0x24, 4, 1));
        Assert.Equal("Ok 0x2", b.Read(0x20, 4));
        Assert.Equal("Ok 0x7", b.Read(0x1c, 4));
        Assert.Equal("Ok 0x0", b.Read(0x1c, 4));
    }

    [Fact]
    public void Arrays_and_index_pairs_reach_their_elements()
    {
        EmittedBlock b = _small.Value;
        Assert.Equal("Ok", b.Write(0x30, 2, 9));
        Assert.Equal("Ok 0x9", b.Read(0x28, 2));
        Assert.Equal("Ok 0x7", b.Read(0x2e, 2));
        Assert.Equal("Ok", b.Write(0x2e, 2, 20));
        Assert.Equal("Ok 0x15", b.Read(0x2e, 2));
        Assert.Equal("NoRegister", b.Read(0x29, 2));
        b.Write(0x40, 1, 0x16);
        Assert.Equal("Ok", b.Write(0x44, 4, 0x1ff));
        Assert.Equal("Ok 0xff", b.Read(0x44, 4));
        b.Write(0x40, 1, 0x17);
        Assert.Equal("Ok 0x67", b.Read(0x44, 4));
        Assert.Equal("ReadOnly", b.Write(0x44, 4, 0));
        b.Write(0x40, 1, 0x18);
        Assert.Equal("NoSuchIndex", b.Read(0x44, 4));
        byte[] state = b.Save();
        var other = new EmittedBlock("small", "Small");
        other.Load(state);
        Assert.Equal(state, other.Save());
    }

    [Fact]
    public void Bits_that_do_not_exist_are_refused_by_a_restore()
    {
        byte[] bad = [2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0x10];
        var e = Assert.Throws<TargetInvocationException>(() => _small.Value.Load(bad));
        Assert.Contains("bits 0x1000 of which do not exist", e.InnerException!.Message, StringComparison.Ordinal);
        byte[] far = [4, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
        Assert.Contains("has index 2, there are 2", Assert.Throws<TargetInvocationException>(() => _small.Value.Load(far)).InnerException!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Resident_block_answers_by_dispatch_too()
    {
        EmittedBlock b = _resident.Value;
        b.Call("Raise", 0xfu);
        Assert.Equal("Ok 0x3", b.Read(0xc, 4));
        Assert.Equal("Ok", b.Write(0x10, 4, 3));
        Assert.Equal("Ok 0x1", b.Read(0xc, 4));
        Assert.Equal("Ok", b.Write(0x48, 4, 77));
        Assert.Equal("Ok 0x4d", b.Read(0x20, 4));
        Assert.Equal("Ok", b.Write(0x801, 1, 0x42));
        Assert.Equal("Ok 0x4200", b.Read(0x800, 2));
        Assert.Equal("BadWidth", b.Read(0x0, 2));
        Assert.Equal("NoRegister", b.Read(0xffe, 4));
    }
}
