using MicroVm.Bus;
using MicroVm.Devices;

namespace MicroVm.Conformance.Tests;

/// <summary>Each declared register of each block does what its line says.</summary>
public sealed class RegisterTests
{
    // The registers that a test is for: it has no case for one of which it could say nothing.
    private static readonly Dictionary<string, Func<BlockInfo, RegisterInfo, bool>> s_wanted = new()
    {
        // What the device sets in a bank is not the definition's.
        [nameof(Reset_value_is_read)] = static (_, r) =>
            Plain(r) && r.Access != RegisterAccess.WriteOnly && r.Access != RegisterAccess.WriteOneToClear && !(r.Has(RegisterTraits.Banked) && r.Access == RegisterAccess.ReadOnly),
        // Where two registers share an offset, a write is the other's and a read is the other's.
        [nameof(Read_only_ignores_writes)] = static (b, r) => r.Access is RegisterAccess.ReadOnly or RegisterAccess.ReadToClear && !b.Shared(r),
        [nameof(Write_only_reads_nothing)] = static (b, r) => r.Access == RegisterAccess.WriteOnly && !b.Shared(r),
        [nameof(Read_to_clear_reads_once)] = static (_, r) => r.Access == RegisterAccess.ReadToClear,
        [nameof(Write_one_to_clear_leaves_nothing_behind)] = static (_, r) => r.Access == RegisterAccess.WriteOneToClear,
        [nameof(Reserved_bits_do_not_stick)] = static (_, r) => Plain(r) && r.Access == RegisterAccess.ReadWrite,
        [nameof(Wrong_width_is_refused_and_changes_nothing)] = static (_, r) => !r.Has(RegisterTraits.Window),
        [nameof(Guard_that_does_not_hold_drops_the_write)] = static (b, r) => Guarded(r) && !b.Shared(r),
        [nameof(Guard_that_does_not_hold_keeps_the_register_behind_another)] = static (b, r) => Guarded(r) && b.Shared(r) && r.Access != RegisterAccess.WriteOnly,
        [nameof(Catalogue_finds_each_register_for_traces)] = static (_, r) => r.IndexedBy is null,
    };

    /// <summary>The registers that a test is for, each with its block.</summary>
    public static TheoryData<string, string> Registers(string test)
    {
        TheoryData<string, string> cases = [];
        foreach (BlockInfo block in RegisterCatalog.All)
        {
            foreach (RegisterInfo register in block.Registers.Where(r => s_wanted[test](block, r))) cases.Add(block.Name, register.Name);
        }
        return cases;
    }

    [Fact]
    public void Every_block_has_a_factory_and_every_factory_a_block() =>
        Assert.Equal(RegisterCatalog.All.Select(static b => b.Name).Order(StringComparer.Ordinal), Subjects.Known.Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Registers), nameof(Reset_value_is_read))]
    public void Reset_value_is_read(string block, string register) => Check(block, register, static (s, r) =>
    {
        if (s.Info.Shared(r)) s.Guard(r, holds: true);
        for (uint i = 0; i < r.Count; i++)
        {
            Assert.Equal(IoStatus.Ok, s.Read(r, out ulong value, i));
            Assert.Equal(r.Reset, value);
        }
    });

    [Theory]
    [MemberData(nameof(Registers), nameof(Read_only_ignores_writes))]
    public void Read_only_ignores_writes(string block, string register) => Check(block, register, static (s, r) =>
    {
        byte[] before = s.Save();
        foreach (ulong value in new[] { 0ul, r.Ones(), 0x5555_5555_5555_5555 & r.Ones() }) Assert.Equal(IoStatus.ReadOnly, s.Write(r, value));
        if (r.IndexedBy is null) Assert.Equal(before, s.Save());
    });

    [Theory]
    [MemberData(nameof(Registers), nameof(Write_only_reads_nothing))]
    public void Write_only_reads_nothing(string block, string register) => Check(block, register, static (s, r) =>
    {
        s.Guard(r, holds: true);
        s.Write(r, r.WriteMask);
        Assert.Equal(IoStatus.WriteOnly, s.Read(r, out ulong value));
        Assert.Equal(0ul, value);
    });

    [Theory]
    [MemberData(nameof(Registers), nameof(Read_to_clear_reads_once))]
    public void Read_to_clear_reads_once(string block, string register) => Check(block, register, static (s, r) =>
    {
        ulong raised = r.Fields.Length == 0 ? r.Ones() : r.Fields.Aggregate(0ul, static (bits, f) => bits | (1ul << f.Low));
        s.Force(r, raised);
        s.Read(r, out ulong first);
        s.Read(r, out ulong second);
        Assert.Equal((raised, 0ul), (first, second));
    });

    [Theory]
    [MemberData(nameof(Registers), nameof(Write_one_to_clear_leaves_nothing_behind))]
    public void Write_one_to_clear_leaves_nothing_behind(string block, string register) => Check(block, register, static (s, r) =>
    {
        Assert.Equal(IoStatus.Ok, s.Write(r, r.Ones()));
        s.Read(r, out ulong value);
        Assert.Equal(0ul, value);
    });

    [Theory]
    [MemberData(nameof(Registers), nameof(Reserved_bits_do_not_stick))]
    public void Reserved_bits_do_not_stick(string block, string register) => Check(block, register, static (s, r) =>
    {
        s.Guard(r, holds: true);
        // A hook may take less than the mask lets through, never more.
        bool exact = !r.Has(RegisterTraits.HasHook) || s.Starts != r.Name;
        for (uint element = 0; element < r.Count; element++)
        {
            foreach (ulong value in Patterns(r))
            {
                IoStatus status = s.Write(r, value, element);
                if (exact) Assert.Equal(IoStatus.Ok, status);
                Assert.Equal(IoStatus.Ok, s.Read(r, out ulong now, element));
                Assert.Equal(0ul, now & ~(r.WriteMask | r.Reset | Named(r)));
                if (exact) Assert.Equal((r.Reset & ~r.WriteMask) | (value & r.WriteMask), now);
            }
            // The register that others' guards ask: leave it as it was found.
            s.Write(r, r.Reset, element);
            s.Guard(r, holds: true);
        }
    });

    [Theory]
    [MemberData(nameof(Registers), nameof(Wrong_width_is_refused_and_changes_nothing))]
    public void Wrong_width_is_refused_and_changes_nothing(string block, string register) => Check(block, register, static (s, r) =>
    {
        byte[] before = s.Save();
        uint offset = r.IndexedBy is null ? r.Offset : s.Register(r.IndexedBy).Offset;
        foreach (int width in new[] { 0, 1, 2, 3, 4, 8, 16 })
        {
            bool legal = s.Info.Rule == AccessRule.Any ? width is 1 or 2 or 4 or 8 : width == (r.IndexedBy is null ? r.Width() : s.Register(r.IndexedBy).Width());
            if (legal) continue;
            Assert.Equal(IoStatus.BadWidth, s.Block.Read(offset, width, out ulong value));
            Assert.Equal(0ul, value);
            Assert.Equal(IoStatus.BadWidth, s.Block.Write(offset, width, ulong.MaxValue));
        }
        Assert.Equal(before, s.Save());
    });

    [Theory]
    [MemberData(nameof(Registers), nameof(Guard_that_does_not_hold_drops_the_write))]
    public void Guard_that_does_not_hold_drops_the_write(string block, string register) => Check(block, register, static (s, r) =>
    {
        s.Guard(r, holds: false);
        byte[] before = s.Save();
        Assert.Equal(IoStatus.WrongState, s.Write(r, r.WriteMask));
        Assert.Equal(before, s.Save());
    });

    // Another register answers while it does not hold.
    [Theory]
    [MemberData(nameof(Registers), nameof(Guard_that_does_not_hold_keeps_the_register_behind_another))]
    public void Guard_that_does_not_hold_keeps_the_register_behind_another(string block, string register) => Check(block, register, static (s, r) =>
    {
        s.Guard(r, holds: true);
        s.Read(r, out ulong kept);
        s.Guard(r, holds: false);
        s.Write(r, ~kept & r.Ones());
        s.Guard(r, holds: true);
        s.Read(r, out ulong now);
        Assert.Equal(kept, now);
    });

    [Theory]
    [MemberData(nameof(Registers), nameof(Catalogue_finds_each_register_for_traces))]
    public void Catalogue_finds_each_register_for_traces(string block, string register) => Check(block, register, static (s, r) =>
    {
        bool write = r.Access is not (RegisterAccess.ReadOnly or RegisterAccess.ReadToClear);
        RegisterInfo? found = s.Info.Find(r.Offset, write);
        Assert.Equal(r.Offset, found?.Offset);
        Assert.NotEqual("", r.Doc);
    });

    private static void Check(string block, string register, Action<Subject, RegisterInfo> test)
    {
        using Subject subject = Subjects.Make(block);
        RegisterInfo info = subject.Register(register);
        try
        {
            test(subject, info);
        }
        catch (Xunit.Sdk.XunitException e)
        {
            Assert.Fail($"{subject.Info.File}({info.Line}) {register}: {e.Message}");
        }
    }

    /// <summary>A value of its own stands behind it.</summary>
    private static bool Plain(RegisterInfo r) => !r.IsPair() && !r.Has(RegisterTraits.Computed) && !r.Has(RegisterTraits.Window);

    private static bool Guarded(RegisterInfo r) => r.Guard is not null && r.Access != RegisterAccess.ReadOnly;

    private static ulong Named(RegisterInfo r) => r.Fields.Aggregate(0ul, static (bits, f) => bits | (f.High - f.Low >= 63 ? ulong.MaxValue : ((1ul << (f.High - f.Low + 1)) - 1) << f.Low));

    private static IEnumerable<ulong> Patterns(RegisterInfo r)
    {
        yield return r.Ones();
        yield return 0;
        yield return 0x5555_5555_5555_5555 & r.Ones();
        yield return 0xaaaa_aaaa_aaaa_aaaa & r.Ones();
        for (int bit = 0; bit < 8 * (int)r.Width; bit++) yield return 1ul << bit;
    }
}
