using MicroVm.Bus;
using MicroVm.Devices;

namespace MicroVm.Conformance.Tests;

/// <summary>Each declared register of each block does what its line says.</summary>
public sealed class RegisterTests
{
    public static TheoryData<string> Blocks => Subjects.All;

    [Fact]
    public void Every_block_has_a_factory_and_every_factory_a_block() =>
        Assert.Equal(RegisterCatalog.All.Select(static b => b.Name).Order(StringComparer.Ordinal), Subjects.Known.Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Reset_value_is_read(string name) => Each(name, static r => Plain(r) && r.Access != RegisterAccess.WriteOnly && r.Access != RegisterAccess.WriteOneToClear, static (s, r) =>
    {
        // What the device sets in a bank is not the definition's.
        if (r.Has(RegisterTraits.Banked) && r.Access == RegisterAccess.ReadOnly) return;
        if (s.Shared(r)) s.Guard(r, holds: true);
        for (uint i = 0; i < r.Count; i++)
        {
            Assert.Equal(IoStatus.Ok, s.Read(r, out ulong value, i));
            Assert.Equal(r.Reset, value);
        }
    });

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Read_only_ignores_writes(string name) => Each(name, static r => r.Access is RegisterAccess.ReadOnly or RegisterAccess.ReadToClear, static (s, r) =>
    {
        if (s.Shared(r)) return;
        byte[] before = s.Save();
        foreach (ulong value in new[] { 0ul, r.Ones(), 0x5555_5555_5555_5555 & r.Ones() }) Assert.Equal(IoStatus.ReadOnly, s.Write(r, value));
        if (r.IndexedBy is null) Assert.Equal(before, s.Save());
    });

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Write_only_reads_nothing(string name) => Each(name, static r => r.Access == RegisterAccess.WriteOnly, static (s, r) =>
    {
        if (s.Shared(r)) return;
        s.Guard(r, holds: true);
        s.Write(r, r.WriteMask);
        Assert.Equal(IoStatus.WriteOnly, s.Read(r, out ulong value));
        Assert.Equal(0ul, value);
    });

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Read_to_clear_reads_once(string name) => Each(name, static r => r.Access == RegisterAccess.ReadToClear, static (s, r) =>
    {
        ulong raised = r.Fields.Length == 0 ? r.Ones() : r.Fields.Aggregate(0ul, static (bits, f) => bits | (1ul << f.Low));
        s.Force(r, raised);
        s.Read(r, out ulong first);
        s.Read(r, out ulong second);
        Assert.Equal((raised, 0ul), (first, second));
    });

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Write_one_to_clear_leaves_nothing_behind(string name) => Each(name, static r => r.Access == RegisterAccess.WriteOneToClear, static (s, r) =>
    {
        Assert.Equal(IoStatus.Ok, s.Write(r, r.Ones()));
        if (s.Read(r, out ulong value) == IoStatus.Ok) Assert.Equal(0ul, value);
    });

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Reserved_bits_do_not_stick(string name) => Each(name, static r => Plain(r) && r.Access == RegisterAccess.ReadWrite, static (s, r) =>
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
    [MemberData(nameof(Blocks))]
    public void Wrong_width_is_refused_and_changes_nothing(string name) => Each(name, static r => !r.Has(RegisterTraits.Window), static (s, r) =>
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
    [MemberData(nameof(Blocks))]
    public void Guard_that_does_not_hold_drops_the_write(string name) => Each(name, static r => r.Guard is not null && r.Access != RegisterAccess.ReadOnly, static (s, r) =>
    {
        s.Guard(r, holds: false);
        if (!s.Shared(r))
        {
            byte[] before = s.Save();
            Assert.Equal(IoStatus.WrongState, s.Write(r, r.WriteMask));
            Assert.Equal(before, s.Save());
            return;
        }
        // Another register answers now; this one must come back as it was.
        if (r.Access == RegisterAccess.WriteOnly) return;
        s.Guard(r, holds: true);
        s.Read(r, out ulong kept);
        s.Guard(r, holds: false);
        s.Write(r, ~kept & r.Ones());
        s.Guard(r, holds: true);
        s.Read(r, out ulong now);
        Assert.Equal(kept, now);
    });

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Catalogue_finds_each_register_for_traces(string name) => Each(name, static r => r.IndexedBy is null, static (s, r) =>
    {
        bool write = r.Access is not (RegisterAccess.ReadOnly or RegisterAccess.ReadToClear);
        RegisterInfo? found = s.Info.Find(r.Offset, write);
        Assert.Equal(r.Offset, found?.Offset);
        Assert.NotEqual("", r.Doc);
    });

    private static void Each(string name, Func<RegisterInfo, bool> wanted, Action<Subject, RegisterInfo> test)
    {
        foreach (RegisterInfo register in Subjects.Make(name).Info.Registers.Where(wanted))
        {
            // A fresh block each time: what one register leaves behind is no other's start.
            Subject subject = Subjects.Make(name);
            try
            {
                test(subject, subject.Register(register.Name));
            }
            catch (Xunit.Sdk.XunitException e)
            {
                Assert.Fail($"{subject.Info.File}({register.Line}) {register.Name}: {e.Message}");
            }
        }
    }

    /// <summary>A value of its own stands behind it.</summary>
    private static bool Plain(RegisterInfo r) => !r.IsPair() && !r.Has(RegisterTraits.Computed) && !r.Has(RegisterTraits.Window);

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
