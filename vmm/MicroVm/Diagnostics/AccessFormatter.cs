using System.Globalization;
using System.Text;
using MicroVm.Bus;

namespace MicroVm.Diagnostics;

/// <summary>An access in the words of its declaration: <c>vcpu0 virtio-mmio[2].Status &lt;- 0xf Acknowledge|Driver|DriverOk|FeaturesOk</c>. For traces and crash reports.</summary>
/// <param name="ports">Port space of the machine.</param>
/// <param name="mmio">Memory-mapped space of the machine.</param>
internal sealed class AccessFormatter(AddressSpace ports, AddressSpace mmio)
{
    private const ulong PortSpaceEnd = 0x1_0000;
    private const ulong DecimalBelow = 1024;

    /// <summary>Appends the access, without a line break.</summary>
    /// <param name="text">Gets it.</param>
    /// <param name="access">The access.</param>
    /// <param name="register">Its register, from <see cref="RegisterOf"/> or from somebody who knows more.</param>
    internal void Append(StringBuilder text, in AccessTrace.Access access, RegisterInfo? register)
    {
        text.Append(CultureInfo.InvariantCulture, $"vcpu{access.Vcpu} ");
        AppendPlace(text, access, register);
        text.Append(access.Write ? " <- " : " -> ");
        AppendValue(text, access, register);
        AppendStatus(text, access, register);
    }

    /// <summary>The register that the access means; where several share its offset, the first that it can mean.</summary>
    internal RegisterInfo? RegisterOf(in AccessTrace.Access access) => access.Block?.Info.Find(access.Offset, access.Write);

    /// <summary>A block's name for people: <c>VirtioMmio</c> is <c>virtio-mmio</c>.</summary>
    internal static string Kebab(string name)
    {
        StringBuilder text = new();
        foreach (char c in name)
        {
            if (char.IsAsciiLetterUpper(c) && text.Length > 0) text.Append('-');
            text.Append(char.ToLowerInvariant(c));
        }
        return text.ToString();
    }

    private void AppendPlace(StringBuilder text, in AccessTrace.Access access, RegisterInfo? register)
    {
        if (access.Block is null)
        {
            // RAM is below: no register is memory-mapped in the first 64 KiB.
            string space = access.Address < PortSpaceEnd ? ports.Name : mmio.Name;
            text.Append(CultureInfo.InvariantCulture, $"{space} 0x{access.Address:x}");
            return;
        }
        text.Append(CultureInfo.InvariantCulture, $"{Kebab(access.Block.Info.Name)}[{InstanceOf(access.Block)}].");
        if (register is null) text.Append(CultureInfo.InvariantCulture, $"+0x{access.Offset:x}");
        else AppendRegister(text, register, access.Offset);
    }

    private static void AppendRegister(StringBuilder text, RegisterInfo register, uint offset)
    {
        text.Append(register.Name);
        if (register.HighHalf >= 0) text.Append(offset >= register.HighHalf && offset - register.HighHalf < 4 ? ".High" : ".Low");
        else if (register.Count > 1) text.Append(CultureInfo.InvariantCulture, $"[{(offset - register.Offset) / register.Stride}]");
        else if (offset != register.Offset) text.Append(CultureInfo.InvariantCulture, $"+0x{offset - register.Offset:x}");
    }

    // How many of its kind stand before it: there are few blocks, and nobody waits.
    private int InstanceOf(IRegisterBlock block)
    {
        foreach (AddressSpace space in (ReadOnlySpan<AddressSpace>)[ports, mmio])
        {
            int index = 0;
            foreach (AddressSpace.Entry entry in space.Entries)
            {
                if (ReferenceEquals(entry.Block, block)) return index;
                if (entry.Block.Info.Name == block.Info.Name) index++;
            }
        }
        return 0;
    }

    private static void AppendValue(StringBuilder text, in AccessTrace.Access access, RegisterInfo? register)
    {
        if (register is not null && (register.Traits & RegisterTraits.Secret) != 0)
        {
            text.Append("(secret)");
            return;
        }
        bool number = register is { Fields.Length: 0, HighHalf: < 0 } && access.Width > 1 && access.Value < DecimalBelow;
        if (number) text.Append(access.Value);
        else text.Append(CultureInfo.InvariantCulture, $"0x{access.Value:x}");
        if (register is not null && access.Offset == register.Offset) AppendFields(text, access.Value, register.Fields);
    }

    private static void AppendFields(StringBuilder text, ulong value, FieldInfo[] fields)
    {
        char before = ' ';
        ulong left = value;
        foreach (FieldInfo field in fields)
        {
            int bits = field.High - field.Low + 1;
            ulong mask = bits >= 64 ? ulong.MaxValue : (1UL << bits) - 1;
            ulong part = (value >> field.Low) & mask;
            left &= ~(mask << field.Low);
            if (part == 0) continue;
            text.Append(before).Append(field.Name);
            if (bits > 1) text.Append(CultureInfo.InvariantCulture, $"={part}");
            before = '|';
        }
        if (left != 0 && before == '|') text.Append(CultureInfo.InvariantCulture, $"|0x{left:x}");
    }

    private static void AppendStatus(StringBuilder text, in AccessTrace.Access access, RegisterInfo? register)
    {
        if (access.Status == IoStatus.Ok) return;
        if (access.Status == IoStatus.NoDevice)
        {
            text.Append(" no device");
            return;
        }
        string why = access.Status switch
        {
            IoStatus.NoRegister => "no such register",
            IoStatus.BadWidth => string.Create(CultureInfo.InvariantCulture, $"{access.Width} bytes wide"),
            IoStatus.ReadOnly => "read-only",
            IoStatus.WriteOnly => "write-only",
            IoStatus.WrongState when register?.Guard is { } guard => $"only when {guard}",
            IoStatus.WrongState => "not in this state",
            IoStatus.NoSuchIndex => "the selector names nothing",
            _ => "not a value that it takes",
        };
        text.Append(CultureInfo.InvariantCulture, $" refused: {why} ({access.Status})");
    }
}
