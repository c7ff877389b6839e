using System.Text.Json;

namespace MicroVm.Diagnostics;

/// <summary>Values of <see cref="JsonMap"/> as text, and back.</summary>
internal static class JsonText
{
    /// <summary>Deepest nesting that is read; each level is a frame of the stack.</summary>
    internal const int MaxDepth = 16;

    /// <summary>UTF-8 text of <paramref name="value"/>, on one line unless it is <paramref name="indented"/>, with a line feed at its end.</summary>
    internal static byte[] Of(object? value, bool indented = false)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, new JsonWriterOptions { Indented = indented })) Write(json, value);
        bytes.WriteByte((byte)'\n');
        return bytes.ToArray();
    }

    /// <summary>The value that is the whole of <paramref name="utf8"/>.</summary>
    /// <exception cref="JsonException">It is not JSON, nested deeper than <see cref="MaxDepth"/>, or has a number that is no 64-bit integer.</exception>
    internal static object? Parse(ReadOnlySpan<byte> utf8)
    {
        Utf8JsonReader reader = new(utf8, new JsonReaderOptions { MaxDepth = MaxDepth });
        reader.Read();
        object? value = Value(ref reader);
        reader.Read();
        return value;
    }

    /// <summary>The text of a string or of a name.</summary>
    /// <exception cref="JsonException">Its bytes are not UTF-8, or it is half of a pair of escapes: JSON by its form, and no text.</exception>
    internal static string Text(in Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new JsonException(null, null, 0, reader.TokenStartIndex);
        }
    }

    private static object? Value(ref Utf8JsonReader reader)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.Null: return null;
            case JsonTokenType.True: return true;
            case JsonTokenType.False: return false;
            case JsonTokenType.String: return Text(reader);
            case JsonTokenType.Number: return reader.TryGetInt64(out long number) ? number : reader.TryGetUInt64(out ulong large) ? large : throw new JsonException();
            case JsonTokenType.StartArray:
                JsonList list = [];
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) list.Add(Value(ref reader));
                return list;
            default:
                JsonMap map = new();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
                {
                    string name = Text(reader);
                    reader.Read();
                    map[name] = Value(ref reader);
                }
                return map;
        }
    }

    private static void Write(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case null:
                json.WriteNullValue();
                break;
            case string text:
                json.WriteStringValue(text);
                break;
            case bool flag:
                json.WriteBooleanValue(flag);
                break;
            case JsonThousandths number:
                json.WriteRawValue(number.ToString(), skipInputValidation: true);
                break;
            case ulong number:
                json.WriteNumberValue(number);
                break;
            case JsonMap map:
                json.WriteStartObject();
                for (int i = 0; i < map.Count; i++)
                {
                    json.WritePropertyName(map.Names[i]);
                    Write(json, map.Values[i]);
                }
                json.WriteEndObject();
                break;
            case JsonList list:
                json.WriteStartArray();
                foreach (object? item in list) Write(json, item);
                json.WriteEndArray();
                break;
            default:
                json.WriteNumberValue(Integer(value));
                break;
        }
    }

    // A value of another type is a mistake of ours, and the first test that prints it sees it.
    private static long Integer(object value) => value switch
    {
        int number => number,
        uint number => number,
        long number => number,
        ushort number => number,
        byte number => number,
        _ => throw new InvalidOperationException($"no JSON for {value}"),
    };
}
